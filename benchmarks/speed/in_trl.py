"""TRL's SFTTrainer on given rows, as fast as its options make it. Run as a script in any environment that has TRL.

Reads one job (`beside_trl.Job` as JSON) from standard input and prints one JSON object; imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from typing import Any


def run(job: dict[str, Any], folder: str) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TrainerCallback, set_seed
    from transformers.utils import is_flash_attn_2_available
    from trl import SFTConfig, SFTTrainer

    device, count = job["device"], len(job["batches"])
    if device == "cpu":
        torch.set_num_threads(job["threads"])
    flash = device == "cuda" and job["precision"] == "bf16" and is_flash_attn_2_available()
    set_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(job["base"]),
            dtype={"bf16": torch.bfloat16, "fp32": torch.float32}[job["precision"]],
            attn_implementation="flash_attention_2" if flash else "sdpa",
        )
    config = SFTConfig(
        output_dir=folder,
        max_steps=count,
        per_device_train_batch_size=job["rows"] // job["accumulation"],
        gradient_accumulation_steps=job["accumulation"],
        train_sampling_strategy="sequential",
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        optim="adamw_torch_fused",
        bf16=job["precision"] == "bf16",
        gradient_checkpointing=False,
        packing=False,
        padding_free=flash,  # needs a kernel that knows where a row ends
        max_length=None,
        logging_strategy="steps",
        logging_steps=count,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=device == "cpu",
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    rows = [row for batch in job["batches"] for row in batch]
    data = Dataset.from_list(
        [{"input_ids": tokens, "labels": [-100] * first + tokens[first:]} for tokens, first in rows]
    )

    class Clock(TrainerCallback):  # type: ignore[misc]
        """From the end of the last step that warms up to the end of the last step."""

        began = ended = (0.0, 0.0)

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step in (job["warm"], count):
                if device == "cuda":
                    torch.cuda.synchronize()
                self.began, self.ended = self.ended, (time.perf_counter(), time.process_time())

    clock = Clock()
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(job["base"]),
        peft_config=LoraConfig(task_type="CAUSAL_LM", **job["adapter"]),
        callbacks=[clock],
    )
    trainer.train()
    (told,) = [each for each in trainer.state.log_history if "num_tokens" in each]
    return {
        "seconds": clock.ended[0] - clock.began[0],
        "processor": clock.ended[1] - clock.began[1],
        "read": int(told["num_tokens"]),
        "trained": sum(sum(label != -100 for label in each) for each in trainer.train_dataset["labels"]),
        "memory": torch.cuda.max_memory_allocated() if device == "cuda" else None,
        "parameters": sum(each.numel() for each in trainer.model.parameters() if each.requires_grad),
        "kernel": "flash attention, padding-free" if flash else "sdpa",
    }


def main() -> None:
    with os.fdopen(os.dup(1), "w") as answers, tempfile.TemporaryDirectory() as folder:
        os.dup2(2, 1)  # what it prints is no answer
        answers.write(json.dumps(run(json.load(sys.stdin), folder)) + "\n")


if __name__ == "__main__":
    main()
