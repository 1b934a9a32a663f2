"""Rewards for other people's trainers: TRL's GRPO and RLOO, Flow-Factory, verl-omni, CachedSearch."""
