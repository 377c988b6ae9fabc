"""Side by side with `ssl`, pyOpenSSL and tlslite-ng, in one process and one run: `make bench`."""
