"""Train generators of video and audio on rewards: losses, advantages, loops."""
