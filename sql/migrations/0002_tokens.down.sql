-- kata: destructive

drop table kata_data.token_count;
drop table kata_data.tokenizer;
