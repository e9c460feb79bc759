"""Files and photos: the only room that knows file formats."""
