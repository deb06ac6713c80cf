"""Reports on clips and results: pictures, figures and text."""
