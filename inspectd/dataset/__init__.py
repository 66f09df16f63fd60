"""Images of known class: found, hashed, split into training, validation and test, and read as a network takes them."""
