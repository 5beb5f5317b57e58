-- kata: destructive
-- Removes the ranges of buckets, which a proxy has in its map, too, and the directory of names.

drop table kata_data.name_claim;
drop table kata_data.bucket_range;
