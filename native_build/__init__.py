"""What builds the native core: the compiler's call, the package's build hook, generated files, wheels."""
