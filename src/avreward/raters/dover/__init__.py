"""DOVER: technical and aesthetic quality of video (arXiv:2211.04894)."""
