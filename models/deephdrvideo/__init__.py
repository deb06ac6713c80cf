"""DeepHDRVideo (Chen et al., ICCV 2021): coarse reconstruction in the image, deformable refinement in features."""
