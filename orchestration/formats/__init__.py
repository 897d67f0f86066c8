"""How the console writes times and dates, by language: `FORMAT_MODULE_PATH`."""
