"""Writing service documents as fast as a disk takes them, and comparing ways to do it."""
