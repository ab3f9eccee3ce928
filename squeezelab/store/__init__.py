"""Files that appear whole or not at all, and the data sets that runs keep."""
