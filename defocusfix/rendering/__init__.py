"""Training photos from sharp ones: scenes, lens blur, camera."""
