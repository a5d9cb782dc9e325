// The Python environment that the author chose, if an extension knows one. None of them is needed.

import * as vscode from "vscode";

/** The parts used of the API of the Python extension (`ms-python.python`). */
interface PythonApi {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(
      environment: { path: string } | string,
    ): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

/** The parts used of the API of the Python Environments extension (`ms-python.vscode-python-envs`). */
interface EnvironmentsApi {
  getEnvironment(scope: vscode.Uri | undefined): Promise<{ execInfo?: { run?: { executable?: string } } } | undefined>;
  onDidChangeEnvironment: vscode.Event<unknown>;
}

interface Provider {
  readonly name: string;
  active(scope: vscode.Uri | undefined): Promise<string | null>;
  readonly onChange: vscode.Event<unknown>;
}

export class ActiveEnvironment implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  private subscription: vscode.Disposable | undefined;
  private provider: Provider | null | undefined;
  /** Fires when another environment may be active; whoever listens compares. */
  readonly onDidChange = this.changed.event;

  constructor(private readonly log: vscode.LogOutputChannel) {}

  /** The active environment's Python, or null: none is chosen, or no extension is there to know. */
  async python(): Promise<string | null> {
    this.provider ??= await this.connect();
    if (this.provider === null) return null;
    const scope = vscode.workspace.workspaceFolders?.[0]?.uri;
    try {
      const python = await withDeadline(this.provider.active(scope), 5_000);
      this.log.info(`${this.provider.name} says that ${python ?? "no environment"} is active`);
      return python;
    } catch (error) {
      this.log.warn(`${this.provider.name} did not say which environment is active: ${String(error)}`);
      return null;
    }
  }

  dispose(): void {
    this.subscription?.dispose();
    this.changed.dispose();
  }

  private async connect(): Promise<Provider | null> {
    for (const [id, provider] of PROVIDERS) {
      const extension = vscode.extensions.getExtension(id);
      if (extension === undefined) continue;
      try {
        const found = provider(await withDeadline(Promise.resolve(extension.activate()), 10_000));
        this.subscription = found.onChange(() => this.changed.fire());
        return found;
      } catch (error) {
        this.log.warn(`The extension ${id} cannot be asked: ${String(error)}`);
      }
    }
    this.log.info("No extension is installed that knows the active Python environment.");
    return null;
  }
}

const PROVIDERS: [string, (api: unknown) => Provider][] = [
  [
    "ms-python.vscode-python-envs",
    (api) => {
      const environments = api as EnvironmentsApi;
      return {
        name: "Python Environments",
        active: async (scope) => (await environments.getEnvironment(scope))?.execInfo?.run?.executable ?? null,
        onChange: environments.onDidChangeEnvironment,
      };
    },
  ],
  [
    "ms-python.python",
    (api) => {
      const { environments } = api as PythonApi;
      return {
        name: "Python",
        active: async (scope) => {
          const resolved = await environments.resolveEnvironment(environments.getActiveEnvironmentPath(scope));
          return resolved?.executable.uri?.fsPath ?? null;
        },
        onChange: environments.onDidChangeActiveEnvironmentPath,
      };
    },
  ],
];

function withDeadline<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds / 1000} s`)), milliseconds);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
