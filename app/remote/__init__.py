"""Models from elsewhere: a store's version folders, brought whole into a folder that the rest serves as any other."""
