"""What people ask of the state, answered as values: the pages, the API and the command line tell the same. Reads the
database and decides nothing; where something takes long, it heeds `app.stop`."""
