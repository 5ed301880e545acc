"""A small language model for tests."""

ARPA = """
\\data\\
ngram 1=5
ngram 2=4
ngram 3=1

\\1-grams:
-1.5\t<unk>
-99\t<s>\t-0.25
-1\t</s>
-0.5\ta\t-0.125
-0.75\tb\t-0.5

\\2-grams:
-0.25\t<s> a\t-0.0625
-0.5\ta b\t-1
-0.125\tb </s>
-2\tb a

\\3-grams:
-0.375\t<s> a b

\\end\\
"""
"""Its weights are exact in float32. The line of "-1.5 <unk>" is 8."""
