"""What a dollar buys: successes per dollar of each arm, and how many times as many the candidate buys.

prices         what the user says an answer costs: per token, or per hour
success        what the user says a success is: a metric and a threshold
tokens         how many tokens an arm used: its usage, its tokenizer, or an estimate
throughput     a measured throughput: GuideLLM, `vllm bench`, or the run's own time
costs          the dollars of each document
value_builder  two runs or more -> what the report says
"""
