"""Networks that Keras 2 saved: their description is translated into Keras 3's, and their weights are put into it."""
