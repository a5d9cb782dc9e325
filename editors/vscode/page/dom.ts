// Elements, and parts of the page that are made anew only when what they show changed: focus and scroll stay.

type Child = Node | string | null;
type Properties = Record<string, string | boolean | ((event: Event) => void) | undefined>;

export function h(tag: string, properties: Properties = {}, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child): child is Node | string => child !== null));
  return element;
}

export class Part {
  private shown = "";

  constructor(readonly element: HTMLElement) {}

  /** Shows `children()` if `key`, which says what they depend on, is another than before. */
  show(key: unknown, children: () => Child[]): void {
    const now = JSON.stringify(key);
    if (now === this.shown) return;
    this.shown = now;
    const focus = document.activeElement;
    const name = focus instanceof HTMLElement && this.element.contains(focus) ? focus.dataset.key : undefined;
    const made = children().filter((child): child is Node | string => child !== null);
    this.element.replaceChildren(...made);
    this.element.hidden = made.length === 0;
    if (name !== undefined) this.element.querySelector<HTMLElement>(`[data-key="${CSS.escape(name)}"]`)?.focus();
  }
}
