"""The built-in plugins, one behaviour a file, registered by dotted name as a third party's would be."""
