"""Folders of tiny raters."""

from lmm_folders import agav_folder, omni_folder

__all__ = ["agav_folder", "omni_folder"]
