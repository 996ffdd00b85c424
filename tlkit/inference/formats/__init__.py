"""Files and folders of found objects; the readers of the same formats are in `tlkit.data.formats`."""
