-- The ranking: BM25 with the document frequencies of the path as of the version, computed from the postings of the query's terms. Scores
-- are integers up to the last step, because a sum of floating-point numbers depends on the order of its rows.
--
-- Sources: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), for the formula; the form of the
-- inverse document frequency is that of Lucene, which is never negative.

create or replace function kata_data.scored_hits(
  context_id uuid, at bigint, config text, terms text[], changes bigint[], silent int8multirange
)
returns table (term integer, place bigint, version bigint, score integer, rarity integer, spreads boolean)
language sql stable rows 1000
as $$
  with hit as materialized (
    select h.term, h.version, h.weight
    from kata_data.hits(scored_hits.context_id, scored_hits.at, config, scored_hits.terms) h
  ),
  term as materialized (
    select f.term,
      -- An identifier outweighs its parts: a long message that holds it whole comes before a short one that holds the parts.
      round(case when terms[f.term] ~ '[-_./:@#]' then 300000 else 100000 end
        * ln(1 + (n.messages - f.frequency + 0.5::float8) / (f.frequency + 0.5::float8)))::integer as idf,
      row_number() over (order by f.frequency, f.term)::integer as rarity,
      f.frequency <= greatest(0.2::float8 * n.messages, 1) as spreads
    from (select h.term, count(*) as frequency from hit h group by h.term) f
    cross join (select scored_hits.at - cardinality(changes) as messages) n
  )
  select h.term, h.version - width_bucket(h.version, changes), h.version, t.idf * h.weight, t.rarity, t.spreads
  from hit h
  join term t on t.term = h.term
  where not silent @> h.version
$$;
comment on function kata_data.scored_hits(uuid, bigint, text, text[], bigint[], int8multirange) is
'The hits of terms with their scores, without those in silent versions.

changes, silent: of change_versions and silent_versions. Silent messages count in the document frequencies, so these never change.
Returns term, place (of the message among the messages of the path), version, score (255 times 100,000 times that of BM25), rarity (of the
term, 1 is the rarest), spreads (whether neighbors get a share: not of a term that more than a fifth of the messages hold).';

create or replace function kata_data.spread_scores(
  context_id uuid, at bigint, config text, terms text[], changes bigint[], silent int8multirange
)
returns table (place bigint, score bigint)
language sql stable rows 200
as $$
  with hit as materialized (
    select h.term, h.place, h.score, h.spreads
    from kata_data.scored_hits(spread_scores.context_id, spread_scores.at, config, spread_scores.terms, changes, silent) h
  ),
  -- The best two hundred blocks of eight messages, by what they can reach; only in these and beside them scores are computed.
  block as materialized (
    select b.block
    from (
      select h.term, (h.place >> 3) + o.distance as block, max(h.score * o.share) as score
      from hit h
      join (values (0, 1.0::float8), (1, 0.7), (-1, 0.5)) o(distance, share)
        on o.distance = 0
          or h.spreads and (o.distance = 1 and h.place & 7 >= 4 or o.distance = -1 and h.place & 7 < 4)
      group by h.term, (h.place >> 3) + o.distance
    ) b
    group by b.block
    order by sum(round(b.score)::bigint) desc, b.block desc
    limit 200
  ),
  near as materialized (
    select h.term, h.place, h.score, h.spreads
    from hit h
    where h.place >> 3 in (select b.block + o from block b cross join generate_series(-1, 1) o)
  ),
  -- A message explains those after it more than those before: an answer follows its question.
  share as materialized (
    select d as distance, case when d >= 0 then 0.7::float8 ^ d else 0.5::float8 ^ -d end as share
    from generate_series(-4, 4) d
  ),
  spread as (
    select h.term, h.place + d.distance as place, max(round(h.score * d.share)::integer) as score
    from near h
    join share d on h.spreads or d.distance = 0
    group by h.term, h.place + d.distance
  )
  select s.place, sum(s.score)
  from spread s
  where s.place between 1 and spread_scores.at - cardinality(changes)
  group by s.place
$$;
comment on function kata_data.spread_scores(uuid, bigint, text, text[], bigint[], int8multirange) is
'The scores of messages with the shares that neighbors give: of each term the greatest, 0.7 a step onwards, 0.5 a step back, four steps.

Parameters as scored_hits. Returns place, score (255 times 100,000 times that of BM25), silent messages included.';
