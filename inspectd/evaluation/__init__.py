"""What a bundle is worth: measured on images of known class, in the terms and pictures that quality work uses."""
