-- Estimates tokens without a tokenizer, for callers who give no counts. Called once per text and hot: no regular expression, no set
-- clause. It looks at bytes only, so the result is the same under every locale.
--
-- The UTF-8 bytes become one bit string, and shifts and ands classify all of them at once: letter, digit, mark, space, control
-- character, first byte of a longer character. A class is in the top bit of each byte; bits & (bits >> 8) are the bytes whose
-- neighbor on the left is of the class too; bit_count counts. 0x40 to 0x7f all pass as letters: [ ] _ { } begin a token much as
-- a capital does. Two weighted sums follow, one for prose and code, one for dense text (JSON, logs, base64, ids); the larger counts.
-- Every class has a weight in both: weights(prose, dense).
--
-- The weights, in thousandths of a token, came from a linear program over some 10,000 texts with exact counts of o200k_base: least mean
-- excess, with a text that falls short weighing 12 to 1,200 times as much. Neither the program nor its texts are kept here; a new fit is
-- judged by tests/test_estimates.py, which holds the bounds.
--
-- Other languages than English take more tokens than their classes of letters show. The first kilobyte has the signs: long words, letters
-- with accents, letters that English seldom has, or not at the beginning or end of a word. The excess that follows (v_foreign) is small for
-- English, code and data. Its weights were fitted in the same way to the Universal Declaration of Human Rights in 528 languages; the signs
-- were chosen one after the other, each the one that saved most. rare_script_tokens adds what scripts take that tokenizers know little.
-- Below the exact count are one language in ten, mostly by less than a tenth, and nonsense of lower-case letters or of marks.

create or replace function kata_data.estimate_tokens(content text, abroad integer default 100) returns integer
language plpgsql immutable strict parallel safe
as $$
declare
  v_bytes bytea := convert_to(content, 'UTF8');
  v_length integer := octet_length(v_bytes);
  v_offset integer := 1;
  v_size integer := 1024;
  v_bits varbit;
  v_mask varbit;
  v_high varbit;
  v_bit5 varbit;
  v_bit4 varbit;
  v_bit3 varbit;
  v_bit2 varbit;
  v_bit1 varbit;
  v_bit0 varbit;
  v_low varbit;
  v_letter varbit;
  v_upper varbit;
  v_start varbit;
  v_rest varbit;
  v_control varbit;
  v_digit varbit;
  v_space varbit;
  v_spaces varbit;
  v_mark varbit;
  v_marks varbit;
  v_runs varbit;
  v_lead varbit;
  v_two varbit;
  v_three varbit;
  v_rare varbit;
  v_final varbit;
  v_foreign bigint;
  -- Both sums in one, because every operator of a call is prepared anew: dense × 2³² + prose + 2³¹. In 8 kB neither comes near 2³¹.
  v_sum bigint;
  v_total bigint := 0;
begin
  if v_length = 0 then
    return 0;
  end if;
  while v_offset <= v_length loop
    -- The first kilobyte shows the language. Pieces of 8 kB stay in the processor's cache.
    v_bits := ('x' || encode(substring(v_bytes from v_offset for v_size), 'hex'))::varbit;
    v_mask := substring(('x' || repeat('80', 8192))::varbit from 1 for length(v_bits));
    v_bit5 := v_bits << 2;
    v_bit4 := v_bits << 3;
    v_bit3 := v_bits << 4;
    v_bit2 := v_bits << 5;
    v_bit1 := v_bits << 6;
    v_bit0 := v_bits << 7;

    v_high := v_bits & v_mask;
    v_lead := (v_bits << 1) & v_mask;
    v_letter := v_lead & ~v_high;
    v_upper := v_letter & ~v_bit5;
    v_start := v_letter & ~(v_letter >> 8);
    v_rest := v_mask # (v_high | v_letter);
    v_control := v_rest & ~v_bit5;
    v_rest := v_rest # v_control;
    v_low := v_bit2 | v_bit1;
    v_digit := v_rest & v_bit4 & ~(v_bit3 & v_low);
    v_rest := v_rest # v_digit;
    v_mark := v_rest & (v_low | v_bit4 | v_bit3 | v_bit0);
    v_space := v_rest # v_mark;
    v_spaces := v_space & (v_space >> 8);
    v_marks := v_mark & (v_mark >> 8);
    v_runs := v_marks & (v_marks >> 16);

    v_sum := 2147483648 + kata_data.weights(2043, 1770)
      + kata_data.weights(171, 80) * bit_count(v_letter)
      + kata_data.weights(589, 1087) * bit_count(v_start)
      + kata_data.weights(-390, -340) * bit_count(v_start & (v_rest >> 8))
      + kata_data.weights(323, -97) * bit_count(v_upper)
      + kata_data.weights(652, 1942) * bit_count(v_upper & (v_letter >> 8))
      + kata_data.weights(-973, -1571) * bit_count(v_upper & (v_upper >> 8))
      + kata_data.weights(962, 1549) * bit_count(v_digit)
      + kata_data.weights(-591, -1619) * bit_count(v_digit & (v_digit >> 8))
      + kata_data.weights(-462, 1916) * bit_count(v_digit & (v_space >> 8))
      + kata_data.weights(1001, 409) * bit_count(v_mark)
      + kata_data.weights(-973, 381) * bit_count(v_marks)
      + kata_data.weights(514, -613) * bit_count(v_runs)
      + kata_data.weights(-526, -1022) * bit_count(v_runs & (v_runs >> 32))
      + kata_data.weights(1384, 1933) * bit_count(v_control)
      + kata_data.weights(-1105, -1726) * bit_count(v_control & (v_control >> 8))
      + kata_data.weights(-1535, -381) * bit_count(v_control & (v_mark >> 8))
      + kata_data.weights(146, -165) * bit_count(v_space)
      + kata_data.weights(1393, 1577) * bit_count(v_spaces)
      + kata_data.weights(-1534, -1412) * bit_count(v_spaces & (v_space >> 16));
    if bit_count(v_high) > 0 then
      v_lead := v_lead & v_high;
      v_two := v_lead & ~v_bit5 & ~v_bit4;
      v_three := v_lead & v_bit5 & ~v_bit4;
      v_sum := v_sum
        + kata_data.weights(434, 469) * bit_count(v_lead)
        + kata_data.weights(317, 126) * bit_count(v_two)
        + kata_data.weights(513, 210) * bit_count(v_three)
        + kata_data.weights(1927, 2065) * bit_count(v_lead & v_bit5 & v_bit4)
        + kata_data.weights(-3000, -188) * bit_count(v_three & ~(v_bit3 | v_low))
        + kata_data.weights(-160, -3000) * bit_count(v_three & ~(v_bit3 | v_bit2) & v_bit1 & v_bit0)
        + kata_data.weights(-63, -3000) * bit_count(v_three & v_bit3 & (v_bit2 # v_bit1))
        + kata_data.weights(-550, 1845) * bit_count(v_three & v_bit3 & v_bit2 & v_bit1 & v_bit0);
      v_rare := (v_lead & ~v_bit5 & v_bit4 & (v_bit3 | (~v_bit2 & v_bit1))) | (v_lead & v_bit5 & v_bit4)
        -- Of E2 the letters only: dashes, quotation marks and arrows are common.
        | (v_three & ~v_bit2 & ((~v_bit3 & ~v_bit1) | (v_bit1 & ~v_bit0 & (v_bit3 | ((v_bit5 & v_bit4) << 8)))));
      if bit_count(v_rare) > 0 then
        v_total := v_total + kata_data.rare_script_tokens(v_bits, v_rare);
      end if;
    end if;
    if v_offset = 1 then
      v_final := v_letter & ~(v_letter << 8);
      v_foreign := 54 * bit_count(v_letter) - 515 * bit_count(v_start) - 150 * bit_count(v_upper) - 106 * bit_count(v_digit)
        -- Words that end in a, h, i, p, q, x, y; in all of these but p; in y; in f, n, v.
        + 1560 * bit_count(v_final & ~v_low) - 2200 * bit_count(v_final & ~(v_bit3 | v_low | v_bit0))
        - 2250 * bit_count(v_final & v_bit4 & v_bit3 & v_bit0) + 925 * bit_count(v_final & v_bit2 & v_bit1 & ~v_bit0)
        -- Words that begin with x, z; with e, g.
        + 1410 * bit_count(v_start & v_bit4 & v_bit3 & ~v_bit0) + 1060 * bit_count(v_start & v_bit2 & v_bit0 & ~(v_bit4 | v_bit3))
        -- The letters j, k, z; q, y.
        + 800 * bit_count(v_letter & v_bit3 & v_bit1 & ~v_bit2) + 935 * bit_count(v_letter & v_bit4 & v_bit0 & ~v_low)
        -- Letters with accents, by their first byte: Latin, but less from C4 on; rarer ones, and accents that stand alone.
        + coalesce(
          400 * bit_count(v_two & ~v_bit3) - 500 * bit_count(v_two & ~v_bit3 & v_bit2)
          + 1080 * bit_count(v_two & v_bit3 & ~(v_bit2 & v_bit1)), 0);
      v_total := v_total + greatest(0, v_foreign * abroad / 100 * v_length / least(v_length, v_size));
    end if;

    v_total := v_total + greatest((v_sum & 4294967295) - 2147483648, v_sum >> 32, 0);
    v_offset := v_offset + v_size;
    v_size := 8192;
  end loop;
  -- No tokenizer makes more tokens than there are bytes.
  return least(v_length, greatest(1, (v_total + 999) / 1000));
end
$$;
comment on function kata_data.estimate_tokens(text, integer) is
'An estimate, erring high, of the tokens of o200k_base in a text; 0 for an empty text.

abroad: percent of the excess of other languages than English, which other tokenizers know less.

Cost: linear in the length of the text.';

create or replace function kata_data.rare_script_tokens(bits varbit, leads varbit) returns bigint
language plpgsql immutable parallel safe
as $$
declare
  v_bit5 varbit := bits << 2;
  v_bit4 varbit := bits << 3;
  v_bit3 varbit := bits << 4;
  v_bit2 varbit := bits << 5;
  v_bit1 varbit := bits << 6;
  v_bit0 varbit := bits << 7;
  v_low varbit := v_bit2 | v_bit1;
  v_three varbit := leads & v_bit5 & ~v_bit4;
  -- Second bytes of characters, by the first: E0, E1, E2, EA, F0 to F4, DA and DB, D2, D3.
  v_e0 varbit := (v_three & ~(v_bit3 | v_low | v_bit0)) >> 8;
  v_e1 varbit := (v_three & ~(v_bit3 | v_low) & v_bit0) >> 8;
  v_e2 varbit := (v_three & ~v_bit3 & v_bit1) >> 8;
  v_ea varbit := (v_three & v_bit3) >> 8;
  v_f0 varbit := (leads & v_bit5 & v_bit4) >> 8;
  v_da varbit := (leads & ~v_bit5 & v_bit3 & ~v_bit2 & v_bit1) >> 8;
  v_d2 varbit := (leads & ~(v_bit5 | v_bit3 | v_bit2 | v_bit0)) >> 8;
  v_d3 varbit := (leads & ~(v_bit5 | v_bit3 | v_bit2) & v_bit0) >> 8;
  v_khmer varbit := v_e1 & ~v_bit5 & v_bit4 & v_bit3 & v_bit2 & v_bit1;
begin
  return
    -- Lao and Tibetan; Oriya; Gurmukhi, Telugu and Sinhala.
    1600 * bit_count(v_e0 & v_bit5 & v_bit4 & v_bit3 & v_low)
    + 800 * bit_count(v_e0 & v_bit5 & ~v_bit4 & v_bit3 & v_bit2 & ~v_bit1)
    + 230 * bit_count(v_e0 & v_bit5 & ((v_bit4 & ~v_bit3 & ~(v_bit2 # v_bit1)) | (~v_bit4 & v_bit3 & ~v_low)))
    -- Burmese and Khmer; all else but Georgian and the additions to Latin and Greek: Ethiopic, Cherokee, Canadian syllabics, Mongolian.
    + 350 * bit_count(v_khmer | (v_e1 & ~(v_bit5 | v_bit4 | v_bit3 | v_bit2 | (v_bit1 & v_bit0))))
    - 900 * bit_count(v_e1 & ~(v_bit5 | v_bit4) & v_bit3 & ~(v_bit2 & v_bit1))
    + 3000 * bit_count(v_e1 & ~v_khmer & ~(v_bit5 & v_bit4 & v_bit3) & (v_bit5 | v_bit4 | v_bit3 | v_bit2))
    -- Shan and Mon; Greek with all accents.
    + 1000 * bit_count(v_e1 & ~(v_bit5 | v_bit4 | v_bit3 | v_bit2) & (v_bit1 # v_bit0))
    + 1300 * bit_count(v_e1 & v_bit5 & v_bit4 & v_bit3 & v_bit2)
    -- Cyrillic of Ossetian, Chuvash, Yakut and others, less of Kazakh and Tatar; the letter of Adyghe and Kabardian.
    + 400 * bit_count(v_d2)
    + 1800 * bit_count(v_d2 & v_bit2 & ~v_bit1 & v_bit0)
    + 1900 * bit_count(v_d3 & (~v_bit3 | v_low | ~v_bit0))
    + 5000 * bit_count(v_d3 & ~(v_bit5 | v_bit4) & v_bit3 & v_bit2 & v_bit1 & v_bit0)
    -- Coptic, Tifinagh; Yi, Javanese.
    + 2300 * bit_count(v_e2 & v_bit5 & v_bit4)
    + 2300 * bit_count(v_ea & ~(v_bit5 & v_bit4))
    -- Syriac, Thaana, N'Ko; the letters of Kurdish and Uyghur in Arabic script.
    + 1800 * bit_count(leads & ~v_bit5 & v_bit4 & v_bit3 & v_bit2)
    + 3000 * bit_count(v_da & v_bit5 & ~v_bit4 & ~v_bit3)
    + 900 * bit_count(v_da & ~v_bit5 & ((~v_bit4 & v_bit2 & v_bit1) | (v_bit4 & ~v_bit3 & v_bit2 & ~v_bit1 & v_bit0)))
    -- Other planes, except emoji.
    + 1700 * bit_count(v_f0 & ~(~v_bit5 & v_bit4 & v_bit3 & v_bit2 & v_bit1 & v_bit0));
end
$$;
comment on function kata_data.rare_script_tokens(varbit, varbit) is
'The thousandths of a token by which characters of scripts that tokenizers know little exceed what their first byte makes expected.

leads: first bytes of characters that may be of such a script.';

create or replace function kata_data.weights(prose integer, dense integer) returns bigint
language sql immutable
as $$
  select prose + dense * 4294967296
$$;
comment on function kata_data.weights(integer, integer) is
'The weights of a class in both sums of estimate_tokens.

Of constants it is a constant itself: the planner folds the call.';
