"""The original tool's own cycle, warm, in its own interpreter: asked and answered in JSON, a line each.

Run as a script by `beside_original`, with nothing of ours to import. Its public functions are called as its commands
call them: the parser, the planner, the cycle of its watch loop, its trainer, and what `dlm prompt` answers with.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Original:
    """One document's store, base and plan, as its command has them when it begins to watch.

    `base` has the fields of its registry that say something of a base; the base lies in the hub's cache.
    """

    def __init__(self, home: str, document: str, base: dict[str, Any], threads: int) -> None:
        import torch
        from dlm.base_models.schema import BaseModelSpec
        from dlm.doc.parser import parse_file
        from dlm.hardware import doctor
        from dlm.store.paths import for_dlm

        torch.set_num_threads(threads)
        self.document = Path(document)
        self.spec = BaseModelSpec(**base)
        front = parse_file(self.document).frontmatter
        self.store = for_dlm(front.dlm_id, home=Path(home))
        length = min(front.training.sequence_len, self.spec.effective_context_length)
        found = doctor(training_config=front.training, base_params=self.spec.params, seq_len=length)
        if found.plan is None:
            raise SystemExit(f"it plans nothing for this machine: {found.plan_error}")
        self.plan, self.capabilities = found.plan, found.capabilities

    def cycle(self, steps: int) -> dict[str, Any]:
        """What its watch loop would do with a save of new text."""
        from dlm.doc.parser import parse_file
        from dlm.watch.loop import do_one_cycle

        clock = Clock()
        done = do_one_cycle(
            doc_path=self.document,
            store=self.store,
            spec=self.spec,
            plan=self.plan,
            max_steps=steps,
            reload_doc=parse_file,
            retrain=self._train,
        )
        took = clock.took()
        if done.run_result is None:
            raise SystemExit("it found nothing new in the text")
        return {**took, "steps": done.run_result.steps}

    def train(self, steps: int) -> dict[str, Any]:
        """The same with a text that it has seen: its cycle would find nothing new there, and train nothing."""
        from dlm.doc.parser import parse_file

        clock = Clock()
        done = self._train(self.store, parse_file(self.document), self.spec, self.plan, max_steps=steps)
        return {**clock.took(), "steps": done.steps}

    def ask(self, question: str) -> dict[str, Any]:
        """Its greedy answer."""
        from dlm.inference.generate import generate
        from dlm.inference.loader import load_for_inference

        loaded = load_for_inference(self.store, self.spec, self.capabilities)
        return {"answer": generate(loaded.model, loaded.tokenizer, question, max_new_tokens=64).strip()}

    def _train(self, store: Any, parsed: Any, spec: Any, plan: Any, *, max_steps: int) -> Any:
        from dlm.train.trainer import run

        return run(store, parsed, spec, plan, mode="resume", max_steps=max_steps)


class Clock:
    """Seconds and seconds of processor time since it was made."""

    def __init__(self) -> None:
        self._began, self._computed = time.perf_counter(), time.process_time()

    def took(self) -> dict[str, float]:
        return {"seconds": time.perf_counter() - self._began, "processor": time.process_time() - self._computed}


def main() -> None:
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # what its libraries print is no answer
        original: Any = None
        for line in sys.stdin:
            asked = json.loads(line)
            do, answer = asked.pop("do"), {}
            if do == "open":
                original = Original(**asked)
            else:
                answer = getattr(original, do)(**asked)
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
