"""Trains a tiny rater in a process of its own, as test_trainer.py needs: it may be killed, resumed, or one of two."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from typing import Any

import torch
from known_quality import noisy_tone
from tiny.avbench_audio import tiny_nisqa
from transformers import TrainerCallback

from avreward.training import RaterTrainer, RaterTrainingArguments, last_checkpoint


class Kill(TrainerCallback):
    """End the process as a crash would, after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--adam", action="store_true")
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    torch.manual_seed(0)
    rater = tiny_nisqa()
    rater.module.double()
    optimizer = {} if given.adam else {"optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0.0}
    arguments = RaterTrainingArguments(
        output_dir=str(given.out), use_cpu=True, disable_tqdm=True, per_device_train_batch_size=given.batch,
        num_train_epochs=2, save_strategy="steps", save_steps=2, dataloader_pin_memory=False,
        **{"learning_rate": 3e-3, **optimizer},
    )  # fmt: skip
    callbacks = [Kill(given.kill_at)] if given.kill_at else []
    trainer = RaterTrainer(rater, [noisy_tone(i) for i in range(32)], None, arguments, callbacks=callbacks)
    found = last_checkpoint(given.out) if given.resume else None
    trainer.train(resume_from_checkpoint=None if found is None else str(found))
    if trainer.is_world_process_zero():
        given.out.mkdir(parents=True, exist_ok=True)
        torch.save(
            torch.cat([weight.detach().flatten() for weight in rater.module.parameters()]), given.out / "weights.pt"
        )


if __name__ == "__main__":
    main()
