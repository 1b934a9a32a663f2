"""Commands that train raters."""
