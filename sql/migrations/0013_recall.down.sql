-- kata: destructive

drop table kata_data.embedding_mark;
drop table kata_data.embedding;
drop table kata_data.embedding_model;
drop table kata_data.posting;
drop table kata_data.search_mark;
drop type kata_data.text_to_embed;
drop type kata_data.amended_embedding;
drop type kata_data.recalled;
