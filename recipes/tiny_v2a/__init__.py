"""A small video-to-audio generator: a `DiffusionPipeline` that makes sound for a silent video by flow matching.

It is trained in minutes on two cores, on the synthesized scenes of `avreward.datasets.synthetic.scenes`, so that
choosing among dubs of one video, steering and fine-tuning run for real where no published generator can be loaded.
What it makes is noise shaped in time and pitch: contacts and explosions at about the right moments, more or less well.

>>> from avreward.datasets import scene
>>> pipe, video = tiny_v2a(), scene(7, "bursts", seconds=2.0).clip
>>> sound = pipe(video=video.video, frame_rate=video.fps, generator=torch.Generator().manual_seed(0)).audios
>>> sound.shape
torch.Size([1, 1, 32000])
"""

from tiny_v2a.pipeline import TinyV2APipeline, random_pipeline, tiny_v2a

__all__ = ["TinyV2APipeline", "random_pipeline", "tiny_v2a"]
