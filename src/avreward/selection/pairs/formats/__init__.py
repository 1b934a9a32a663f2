"""Preference pairs in the columns that trainers read, one short file per format."""

from avreward.selection.pairs.formats._diffusion_dpo import DIFFUSION_DPO
from avreward.selection.pairs.formats._javisdit import JAVISDIT
from avreward.selection.pairs.formats._tango_flux import TANGO_FLUX
from avreward.selection.pairs.formats._trl import KTO, TRL
from avreward.selection.pairs.formats._video_align import VIDEO_ALIGN
from avreward.selection.pairs.formats.base import PairFormat

FORMATS: dict[str, PairFormat] = {one.name: one for one in (TRL, KTO, DIFFUSION_DPO, VIDEO_ALIGN, TANGO_FLUX, JAVISDIT)}

__all__ = ["FORMATS", "PairFormat"]
