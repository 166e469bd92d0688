"""The data of the project: objects, columns, rows and the content of files."""
