"""Methods measured: PSNR, SSIM, stability, flow, time."""
