"""Files to tensors and back, and the differentiable transforms between them."""
