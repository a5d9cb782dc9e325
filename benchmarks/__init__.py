"""Runnable measurements. Figures are ratios within one run; what they said on which day is in docs/performance.md."""
