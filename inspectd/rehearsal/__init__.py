"""What demo, simulate and bench share: a site in a folder, the daemon as a process, pictures, and how files arrive."""
