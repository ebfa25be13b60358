"""What fastgpt_client costs, beside what others cost on the same bytes.

``python -m benchmarks`` measures every goal and prints the table; ``--help`` tells the rest. The
figures are ratios within one run: on another machine, or beside other work, microseconds change
and ratios hardly do.
"""
