"""Representational dissimilarity matrices of features, and how far those of two networks agree."""
