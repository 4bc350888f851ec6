"""Tables as people keep them: CSV files and workbooks, read and written."""
