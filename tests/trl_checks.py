"""A trainer of TRL's after two steps, with a tiny writer and given reward functions."""

from __future__ import annotations

from typing import Any

from grpo_sound_writer import writer

PROMPTS = ("the sound of a low", "the sound of a high")


def trained(kind: str, folder: Any, functions: Any, callbacks: Any = None, **options: Any) -> Any:
    """A ``GRPO`` or ``RLOO`` trainer; its completions are words of the recipe's writer, 8 a step."""
    import trl
    from datasets import Dataset

    model, tokenizer = writer(0)
    config = getattr(trl, f"{kind}Config")(
        output_dir=str(folder), use_cpu=True, bf16=False, max_steps=2, per_device_train_batch_size=8,
        num_generations=4, max_completion_length=4, save_strategy="no", logging_steps=1, disable_tqdm=True,
        **{"report_to": [], **options},
    )  # fmt: skip
    dataset = Dataset.from_list([{"prompt": prompt, "scene": "x"} for prompt in PROMPTS] * 2)
    trainer = getattr(trl, f"{kind}Trainer")(
        model, functions, config, dataset, processing_class=tokenizer, callbacks=callbacks
    )
    trainer.train()
    return trainer
