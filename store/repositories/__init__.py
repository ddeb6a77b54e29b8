"""One repository per aggregate: values in, values out, SQL inside."""
