/* Reads tally files: prints every sample, or its bits. One file of C99, written from docs/format.md.
 *
 *     cc -O2 -std=c99 -ffp-contract=off -o tally tally.c -lm    version 2, without any library
 *     and with -DTALLY_ZSTD ... -lzstd                          version 1, too: its index is a zstd frame
 *
 *     ./tally metrics.tally          name{label="value"} timestamp value
 *     ./tally --bits metrics.tally   the bits of each value in hex in place of it, as 64
 *
 * All that is read is checked against the end of what it is read from, and every block must be used up to the bit; the
 * XXH3 checksums are not checked, which a reader of its own would do. Parts are printed one after the other.
 */
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 8192
#define MOST_NUMBERS ((uint64_t)1 << 32) /* of a column: nothing larger is asked of memory */
typedef uint8_t u8;
typedef uint64_t u64;
typedef int64_t i64;

static void fail(const char *what)
{
    fprintf(stderr, "error: %s: the file is damaged\n", what);
    exit(2);
}

/* All memory that was taken is given back at the end, whichever way it comes. */
static struct { void **all; size_t count, most; } taken;

static void give_back(void)
{
    while (taken.count)
        free(taken.all[--taken.count]);
    free(taken.all);
    taken.all = NULL;
}

static void *room(u64 count, size_t size)
{
    if (taken.count == taken.most) {
        size_t most = 2 * taken.most + 64;
        void **all = realloc(taken.all, most * sizeof *all);
        if (!all)
            fail("it asks for too much memory");
        taken.all = all;
        taken.most = most;
    }
    void *memory = count <= MOST_NUMBERS ? calloc(count ? count : 1, size) : NULL;
    if (!memory)
        fail("it asks for too much memory");
    return taken.all[taken.count++] = memory;
}

/* Bytes that are read one after the other. */
typedef struct { const u8 *at, *end; } Bytes;

static const u8 *take(Bytes *b, u64 count)
{
    if (count > (u64)(b->end - b->at))
        fail("something is cut short");
    b->at += count;
    return b->at - count;
}

static Bytes cut(Bytes *b, u64 count)
{
    Bytes part;
    part.at = take(b, count);
    part.end = b->at;
    return part;
}

static u64 varint(Bytes *b)
{
    u64 number = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        u8 byte = *take(b, 1);
        if (shift == 63 && byte > 1)
            break;
        number |= (u64)(byte & 127) << shift;
        if (byte < 128)
            return number;
    }
    fail("a number does not fit 64 bits");
    return 0;
}

static u64 unfold(u64 n) { return (n >> 1) ^ (0 - (n & 1)); }
static u64 zigzag(Bytes *b) { return unfold(varint(b)); }
static u64 big_endian(const u8 *at)
{
    u64 number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | at[i];
    return number;
}
static u64 order(u64 bits) { return bits >> 63 ? bits ^ (~(u64)0 >> 1) : bits; }
static double to_double(u64 bits) { double x; memcpy(&x, &bits, 8); return x; }
static u64 to_bits(double x) { u64 bits; memcpy(&bits, &x, 8); return bits; }
static i64 sign(u64 n) { return n >> 63 ? -(i64)~n - 1 : (i64)n; }
static u64 down(u64 n, int by) { return n >> 63 ? ~(~n >> by) : n >> by; } /* arithmetic */
static int length_of(u64 n) { int bits = 0; for (; n; n >>= 1) bits++; return bits; }

/* What the streams of a block take from: words with two states, and raw bits. */
typedef struct { Bytes words, raw; int filled; u64 states[2]; } Coder;

static u64 raw_bits(Coder *c, int count)
{
    u64 number = 0;
    while (count--) {
        if (c->raw.at >= c->raw.end)
            fail("raw bits are cut short");
        number = number << 1 | (*c->raw.at >> (7 - c->filled) & 1);
        if (++c->filled == 8) {
            c->filled = 0;
            c->raw.at++;
        }
    }
    return number;
}

static void fill_up(Coder *c)
{
    if (c->filled) {
        c->raw.at++;
        c->filled = 0;
    }
}

typedef struct { int bounds[17], moved, fastest, slowest; } Model;

static void learn(Model *m, int symbol)
{
    int p = 0;
    for (int j = m->moved + 1; j; j >>= 1)
        p++;
    if (p > m->slowest)
        p = m->slowest;
    if (p < m->fastest)
        p = m->fastest;
    if (m->moved < 255)
        m->moved++;
    for (int i = 0; i < 16; i++) {
        int step = (i <= symbol ? 4 * i : 32768 - 4 * (16 - i)) - m->bounds[i];
        m->bounds[i] += step < 0 ? ~(~step >> p) : step >> p;
    }
}

static int read_symbol(Coder *c, int which, Model *one, Model *two)
{
    int bounds[17], symbol = 15;
    u64 x = c->states[which], v = x % 32768;
    for (int i = 0; i < 16; i++)
        bounds[i] = (one->bounds[i] + two->bounds[i]) / 2;
    bounds[16] = 32768;
    while ((u64)bounds[symbol] > v)
        symbol--;
    x = (u64)(bounds[symbol + 1] - bounds[symbol]) * (x / 32768) + v - (u64)bounds[symbol];
    if (x < 1 << 20) {
        const u8 *word = take(&c->words, 4);
        x = x << 32 | (u64)word[0] << 24 | (u64)word[1] << 16 | (u64)word[2] << 8 | word[3];
    }
    c->states[which] = x;
    learn(one, symbol);
    if (two != one)
        learn(two, symbol);
    return symbol;
}

static void begin_model(Model *m, int slowest, int fastest, int size)
{
    memset(m, 0, sizeof *m);
    m->slowest = slowest;
    m->fastest = fastest;
    for (int i = 0; i < 16; i++) {
        m->bounds[i] = 2048 * i;
        if (size >= 2 && size <= 4) {
            int most = 32768 - 4 * (16 - i), even = i * (32704 / (1 << (size - 1)));
            m->bounds[i] = even < most ? even : most;
        }
    }
}

static void read_nibbles(Coder *c, u64 *out, u64 n, int shift)
{
    Model a[16], b[16], x, m[16];
    int before = 0, earlier = 0;
    begin_model(&x, 5, 0, 0);
    for (int i = 0; i < 16; i++) {
        begin_model(&a[i], 5, 0, 0);
        begin_model(&b[i], 7, 0, 0);
        begin_model(&m[i], 7, 4, i);
    }
    for (u64 i = 0; i < n; i++) {
        int class = read_symbol(c, 0, &a[before], &b[earlier]), size = class, below;
        u64 top;
        earlier = before;
        before = class;
        if (class == 15) {
            int extra = read_symbol(c, 0, &x, &x);
            size = 15 + (extra < 15 ? extra : (int)raw_bits(c, 6));
        }
        top = size > 0;
        below = size > 1 ? size - 1 : 0;
        if (size >= 2) {
            int width = below < 4 ? below : 4;
            top = (u64)1 << width | (u64)read_symbol(c, 1, &m[class], &m[class]);
            below -= width;
        }
        if (below + shift > 63)
            fail("a residual is too long");
        out[i] = top << (below + shift) | raw_bits(c, below + shift);
    }
    fill_up(c);
}

static void read_packed(Coder *c, u64 *out, u64 n)
{
    int bits = 0;
    for (u64 i = 0; i < n; i++) {
        if (i % 128 == 0) {
            fill_up(c);
            bits = (int)raw_bits(c, 8);
            if (bits > 64)
                fail("a width is too large");
        }
        out[i] = raw_bits(c, bits);
    }
    fill_up(c);
}

/* Undoes a prediction: none, from the level before, from it and the step to it, or from weights. */
static u64 undo(int prediction, u64 r, u64 i, const u64 *levels, u64 start, u64 *slope, const u64 *weights,
                u64 **others, int known)
{
    if (prediction == 0)
        return start + r;
    if (i == 0)
        return start;
    if (prediction == 1)
        return levels[i - 1] + *slope + r;
    if (prediction == 2)
        return levels[i - 1] + (*slope += r);
    u64 s = weights[1] + weights[0] * levels[i - 1];
    for (int j = 0; j < known; j++)
        s += weights[2 + 2 * j] * others[j][i] + weights[3 + 2 * j] * others[j][i - 1];
    return r + down(s, 16);
}

/* Reads a stream of coder 1: its levels, and its integers where these are asked for. */
static void read_stream_1(Bytes *head, Coder *c, u64 n, u64 **others, int known, u64 *levels, u64 *integers)
{
    int how = *take(head, 1), coding = how & 3, prediction = how >> 2 & 3, is_signed = how >> 4 & 1;
    u64 base = zigzag(head), divisor = how >> 5 & 1 ? varint(head) : 1;
    u64 start = prediction || is_signed ? varint(head) : 0;
    u64 slope = prediction == 1 || prediction == 2 ? zigzag(head) : 0, weights[8] = {0};
    if (how > 63 || coding == 3 || (prediction == 3 && !is_signed))
        fail("a stream is coded in no known way");
    for (int i = 0; prediction == 3 && i < 2 + 2 * known; i++)
        weights[i] = zigzag(head);
    if (coding == 1)
        read_nibbles(c, levels, n, *take(head, 1) & 127);
    else if (coding == 2)
        read_packed(c, levels, n);
    else
        memset(levels, 0, n * sizeof *levels);
    for (u64 i = 0; i < n; i++)
        levels[i] = undo(prediction, is_signed ? unfold(levels[i]) : levels[i], i, levels, start, &slope, weights,
                         others, known);
    for (u64 i = 0; integers && i < n; i++)
        integers[i] = base + divisor * levels[i];
}

/* Modes: from integers to the bits of doubles. */
static double decimal(u64 m, u64 digits)
{
    u64 size = m >> 63 ? 0 - m : m;
    double value, power = 10.0;
    for (; digits > 0 && size % 10 == 0; digits--)
        size /= 10;
    for (value = (double)size; digits; digits >>= 1, power *= power)
        if (digits & 1)
            value /= power;
    return m >> 63 ? -value : value;
}

static u64 number(int kind, const u64 q[3], u64 m, u64 e)
{
    double x = (double)sign(m), divisor = (double)q[0], y, t, z;
    if (kind == 0)
        return order(m);
    if (kind == 1)
        return to_bits(x / divisor);
    if (kind == 2)
        return to_bits(x * (1.0 / divisor));
    if (kind == 3)
        return to_bits(decimal(m, q[0]));
    z = ldexp(1.0, (int)q[2]);
    y = rint(x * z / divisor) + (double)(kind == 5 ? sign(e) >> 1 : sign(e));
    y = y / z / (double)q[1];
    if (kind == 4)
        return to_bits(y);
    t = rint(y * 1e16);
    z = t / 1e16;
    return to_bits(z == y ? y : ((z > y ? t - 1.0 : t) + (double)(e & 1)) / 1e16);
}

static void read_numbers(Bytes block, u64 n, u64 *numbers, u64 *levels)
{
    if ((u64)(block.end - block.at) != 8 * n)
        fail("a block has not the size it should");
    for (u64 i = 0; i < n; i++) {
        numbers[i] = 0;
        for (int j = 7; j >= 0; j--)
            numbers[i] = numbers[i] << 8 | block.at[8 * i + (u64)j];
        levels[i] = numbers[i];
    }
}

/* Coder 2 */

static u64 low_bits(Bytes *b, int *at, int count) /* lowest bit of each byte first */
{
    u64 number = 0;
    for (int i = 0; i < count; i++) {
        if (b->at >= b->end)
            fail("bits are cut short");
        number |= (u64)(*b->at >> *at & 1) << i;
        if (++*at == 8) {
            *at = 0;
            b->at++;
        }
    }
    return number;
}

static u64 root(u64 n) /* rounded down */
{
    u64 found = 0;
    for (u64 bit = (u64)1 << 31; bit; bit >>= 1)
        if ((found | bit) * (found | bit) <= n)
            found |= bit;
    return found;
}

static i64 log2_fixed(u64 a)
{
    int w = length_of(a) - 1;
    u64 y = a << (31 - w);
    i64 logarithm = w;
    for (int i = 0; i < 16; i++) {
        y = y * y >> 31;
        logarithm = 2 * logarithm + (i64)(y >> 32);
        y >>= y >> 32;
    }
    return logarithm;
}

static u64 exp2_fixed(i64 a)
{
    u64 y = (u64)1 << 31, r = root((u64)1 << 61);
    for (int bit = 15; bit >= 0; bit--, r = root(r << 31))
        if (a >> bit & 1)
            y = y * r >> 31;
    return y >> (a >> 16 < 63 ? a >> 16 : 63);
}

static u64 raise_two(i64 a)
{
    i64 w = sign(down((u64)a, 16)) + 1, left;
    u64 y;
    w = w < -40 ? -40 : w > 8 ? 8 : w;
    left = w * 65536 - a;
    y = exp2_fixed(left < 0 ? 0 : left > 65536 ? 65536 : left);
    return w >= 0 ? y << w >> 15 : y >> (15 - w);
}

/* Tells the raw bits of a token, and its lowest residual. */
static int token_range(i64 token, int mantissa, u64 *lowest)
{
    u64 z = token < 0 ? (u64)(-1 - token) : (u64)token, octave = z >> mantissa;
    int raw = octave > 1 ? (int)octave - 1 : 0;
    u64 h = raw < 64 ? (z - ((u64)raw << mantissa)) << raw : 0;
    *lowest = token < 0 ? 0 - h - (raw < 64 ? (u64)1 << raw : 0) : h;
    return raw;
}

static void shape_weights(int shape, u64 *weights) /* of tokens -120 to 119 */
{
    static const int offsets[] = {-10, -5, 0, 2, 3, 4, 2, 5}, powers[] = {8, 11, 16, 22, 32, 64, 20, 32};
    int family = shape >> 6, scale = shape & 63;
    u64 sum = 0, unit;
    for (i64 token = -120; token < 120; token++) {
        u64 lowest, h, twice;
        int raw = token_range(token < 0 ? -1 - token : token, 3, &lowest);
        i64 d, e = 0;
        h = lowest;
        twice = 2 * h + ((u64)1 << raw) + 1 - (token < 0 ? 0 : 2);
        d = log2_fixed(twice ? twice : 1) - 65536 - 16384 * (scale - 8 + offsets[family]);
        if (twice && family < 6)
            e = (i64)raise_two(sign(down((u64)(d * powers[family]), 4)));
        else if (twice)
            e = (d < 262144 ? log2_fixed(raise_two(2 * d) + 65536) - 1048576 : 2 * d) * powers[family] >> 4;
        weights[token + 120] = exp2_fixed(e) << raw;
        sum += weights[token + 120];
    }
    unit = sum >> 15 ? sum >> 15 : 1;
    for (int i = 0; i < 240; i++)
        weights[i] = weights[i] / unit ? weights[i] / unit : 1;
}

static u64 gamma_number(Bytes *b, int *at)
{
    int k = 0;
    while (!low_bits(b, at, 1))
        if (++k > 20)
            fail("a number of a table is too large");
    return ((u64)1 << k | low_bits(b, at, k)) - 1;
}

static void explicit_weights(Bytes *b, int *at, u64 count, u64 marker, u64 level, u64 *weights)
{
    u64 some = 0;
    for (u64 i = 0; i < count;) {
        u64 n = gamma_number(b, at);
        if (n == marker) {
            u64 run = gamma_number(b, at) + 1;
            if (run > count - i)
                fail("a table has too many tokens");
            for (; run; run--)
                weights[i++] = 0;
            continue;
        }
        level += unfold(n - (n > marker));
        if (level < 1 || level > 24)
            fail("a table has a level that there is not");
        weights[i++] = some = root((u64)1 << (15 + level));
    }
    if (!some)
        fail("a table is empty");
}

typedef struct { int token, slots, place; } Slot;

static void fill_slots(const u64 *weights, u64 count, u64 low, int g, Slot *table)
{
    u64 total = 0, z, most = 0, slots[800];
    i64 left = (i64)1 << g;
    for (u64 i = 0; i < count; i++) {
        total += weights[i];
        most = weights[i] > weights[most] ? i : most;
    }
    z = ((u64)1 << (g + 24)) / total;
    for (u64 i = 0; i < count; i++) {
        slots[i] = weights[i] * z >> 24;
        if (!slots[i] && weights[i])
            slots[i] = 1;
        left -= (i64)slots[i];
    }
    while (left < 0) {
        u64 half = slots[most] / 2, given = (u64)-left < half ? (u64)-left : half;
        slots[most] -= given;
        left += (i64)given;
        for (u64 i = 0; left < 0 && i < count; i++)
            most = slots[i] > slots[most] ? i : most;
    }
    slots[most] += (u64)left;
    for (u64 i = 0; i < count; i++)
        for (u64 j = 0; j < slots[i]; j++, table++) {
            table->token = (int)i - (int)low;
            table->slots = (int)slots[i];
            table->place = (int)j;
        }
}

static int lanes_of(u64 n) { return n >= 1536 ? 4 : 2; }
static u64 lane_begin(u64 n, int lane)
{
    u64 lanes = (u64)lanes_of(n), rest = n % lanes;
    return (u64)lane * (n / lanes) + ((u64)lane < rest ? (u64)lane : rest);
}

static int context_after(int token, int mantissa)
{
    int z = token < 0 ? -1 - token : token, bits = z >> mantissa ? mantissa + (z >> mantissa) : 0;
    for (; !(z >> mantissa) && z; z >>= 1)
        bits++;
    return !token ? 0 : bits < 30 ? bits + 1 : 31;
}

static void read_owners(Bytes *b, int *at, int count, int tables, int *owner) /* the table of each segment or context */
{
    for (int i = 1; i < count; i++)
        if ((owner[i] = owner[i - 1] + (int)low_bits(b, at, 1)) >= tables)
            fail("a segment or context has no table");
}

static u64 read_alphabet(Bytes *b, int *at, u64 count, u64 *alphabet) /* tokens counted from the lowest */
{
    u64 letters = 0, end = 0;
    for (int there = 1; end < count || there; there = !there)
        for (u64 run = gamma_number(b, at) + 1; run; run--, end++) {
            if (end >= count)
                fail("an alphabet has too many tokens");
            if (there)
                alphabet[letters++] = end;
        }
    return letters;
}

/* A table of contexts: weights of the tokens of an alphabet, all of them if that is not given. */
static void context_weights(Bytes *b, int *at, u64 low, u64 count, int mantissa, const u64 *alphabet,
                            u64 letters, u64 *weights)
{
    u64 found[800], shape[240], first, last;
    memset(weights, 0, count * sizeof *weights);
    if (alphabet || low_bits(b, at, 1)) {
        explicit_weights(b, at, alphabet ? letters : count, low_bits(b, at, 1) ? 0 : 3, 6, found);
        for (u64 i = 0; i < (alphabet ? letters : count); i++)
            weights[alphabet ? alphabet[i] : i] = found[i];
        return;
    }
    shape_weights((int)low_bits(b, at, 9), shape);
    first = low_bits(b, at, 8);
    last = low_bits(b, at, 8);
    if (first > last || last >= count || mantissa != 3 || low > 120 || count - low > 120)
        fail("a shape has tokens that there are not");
    memcpy(weights + first, shape + 120 - low + first, (last - first + 1) * sizeof *weights);
}

static void read_lanes(Bytes *b, u64 *out, u64 n)
{
    static Slot table[16][2048];
    static u64 gaps[BLOCK], instead[BLOCK];
    static const int mantissas[] = {3, 1, 6, 0};
    int first = *take(b, 1), second = *take(b, 1), kind = first & 3, mantissa = mantissas[first >> 2 & 3];
    int g = second & 15, tables = 1 + (second >> 4), at = 0, lanes = lanes_of(n), epochs = n >= 1024 ? 4 : 1;
    int wide = first >> 5 & 1, sparse = first >> 6 & 1, owner[32] = {0}, context[4] = {0}, bits[4] = {0};
    u64 low = varint(b), count = varint(b), shift = wide ? *take(b, 1) : 0, p = n / (u64)lanes;
    u64 weights[800], alphabet[800], letters = 0, states[4], patches = 0, plane_bits[4], used[4] = {0};
    Bytes planes[4];
    if (first > 127 || !mantissa || (g != 10 && g != 11) || !count || count > 800 || low > count
        || shift > 53 || (kind == 2 && tables > lanes * epochs) || (tables > 1 && (kind < 2 || g != 10))
        || ((kind == 1 || kind == 2) && (mantissa != 3 || low > 120 || count - low > 120)))
        fail("tables are of no known kind");
    int raws[] = {token_range(-(i64)low, mantissa, weights), token_range((i64)(count - low) - 1, mantissa, weights)};
    if ((raws[0] > raws[1] ? raws[0] : raws[1]) > (wide ? 63 - (int)shift : 10))
        fail("a token is too long");
    if (kind == 3) {
        int least = context_after(-(int)low, mantissa), most = context_after((int)count - (int)low - 1, mantissa);
        read_owners(b, &at, 1 + (least > most ? least : most), tables, owner);
        letters = sparse ? read_alphabet(b, &at, count, alphabet) : 0;
    }
    for (int i = 0; i < tables; i++) {
        u64 shape[240];
        if (kind == 0)
            explicit_weights(b, &at, count, sparse ? 0 : 3, 0, weights);
        else if (kind == 3)
            context_weights(b, &at, low, count, mantissa, sparse ? alphabet : NULL, letters, weights);
        else {
            shape_weights((int)low_bits(b, &at, 9), shape);
            memcpy(weights, shape + 120 - low, count * sizeof *weights);
        }
        fill_slots(weights, count, low, g, table[i]);
    }
    if (kind == 2)
        read_owners(b, &at, lanes * epochs, tables, owner);
    for (int i = 0; i < lanes; i++) {
        int size = 23 + (int)low_bits(b, &at, 5);
        states[i] = (u64)1 << size | low_bits(b, &at, size);
    }
    if (at)
        take(b, 1);
    if (first >> 4 & 1 && (patches = varint(b)) > n)
        fail("there are too many exceptions");
    for (u64 i = 0; i < patches; i++) {
        gaps[i] = varint(b);
        instead[i] = zigzag(b);
    }
    for (int i = 0; i < lanes; i++)
        plane_bits[i] = wide ? varint(b) : 0;
    for (int i = 0; i < lanes; i++)
        planes[i] = cut(b, plane_bits[i] / 8 + (plane_bits[i] % 8 > 0));
    for (u64 i = 0; i <= p; i++)
        for (int lane = 0; lane < lanes && (i < p || (u64)lane < n % (u64)lanes); lane++) {
            int epoch = 0, raw, in_state, below;
            u64 x = states[lane], lowest;
            while (epoch + 1 < epochs && i >= (u64)(epoch + 1) * p / (u64)epochs)
                epoch++;
            const Slot *slot = &table[owner[kind == 3 ? context[lane] : lane * epochs + epoch]][x & (((u64)1 << g) - 1)];
            context[lane] = context_after(slot->token, mantissa);
            x = (u64)slot->slots * (x >> g) + (u64)slot->place;
            raw = token_range(slot->token, mantissa, &lowest);
            in_state = raw < 10 ? raw : 10;
            below = raw - in_state;
            lowest += (x & (((u64)1 << in_state) - 1)) << below;
            if ((x >>= in_state) < 1 << 23) {
                const u8 *word = take(b, 4);
                x = x << 32 | (u64)word[3] << 24 | (u64)word[2] << 16 | (u64)word[1] << 8 | word[0];
            }
            states[lane] = x;
            used[lane] += (u64)below + shift;
            out[lane_begin(n, lane) + i] = (lowest << shift) + low_bits(&planes[lane], &bits[lane], below + (int)shift);
        }
    for (int i = 0; i < lanes; i++)
        if (states[i] != 1 << 23 || used[i] != plane_bits[i])
            fail("a lane is not used up");
    for (u64 i = 0, place = 0; i < patches; i++) {
        if (gaps[i] >= n - place)
            fail("an exception lies outside its stream");
        out[place += gaps[i]] = instead[i];
    }
}

static void read_side_by_side(Bytes *b, u64 *out, u64 n)
{
    const u8 *widths = take(b, (n + 255) / 256), *whole, *rest;
    u64 bits = 0, left, at = 0;
    if (n < 512)
        fail("numbers are too few to lie side by side");
    for (u64 i = 0; i < n; i += 16) {
        if (widths[i / 256] > 64)
            fail("a width is too large");
        bits += widths[i / 256];
    }
    left = (bits % 64 + 7) / 8;
    whole = take(b, bits / 64 * 128);
    rest = take(b, 16 * left);
    for (u64 i = 0; i < n; i++) {
        u64 width = widths[i / 256], number = 0;
        for (u64 j = 0; j < width; j++) {
            u64 word = (at + j) / 64, bit = (at + j) % 64;
            const u8 *from = word < bits / 64 ? whole + 128 * word + 8 * (i % 16) : rest + left * (i % 16);
            number |= (u64)(from[bit / 8] >> bit % 8 & 1) << j;
        }
        out[i] = number;
        at += i % 16 == 15 ? width : 0;
    }
}

/* Reads a stream of coder 2, all of its bytes: its levels, and its integers where these are asked for. */
static void read_stream_2(Bytes b, u64 n, u64 **others, int known, u64 *levels, u64 *integers)
{
    int how = *take(&b, 1), coding = how & 3, prediction = how >> 2 & 7, lanes = lanes_of(n);
    u64 base = zigzag(&b), divisor = how >> 5 & 1 ? varint(&b) : 1, field[8] = {0}, starts[12] = {0}, slope, w[3];
    static const int fields[] = {0, 1, 1, 4, 2};
    if (how > 127 || prediction > 4 || (how >> 6 && coding < 2) || (prediction == 3 && n < 16))
        fail("a stream is coded in no known way");
    for (int i = 0; i < fields[prediction] + (prediction == 4 ? 2 * known : 0); i++)
        field[i] = zigzag(&b);
    for (int i = 1; prediction == 3 && i < 3 * lanes; i++)
        starts[i] = starts[i - 1] + zigzag(&b);
    memset(levels, 0, n * sizeof *levels);
    if (coding == 1)
        read_lanes(&b, levels, n);
    else if (coding == 2) {
        Coder c = {{NULL, NULL}, b, 0, {0, 0}};
        read_packed(&c, levels, n);
        b = c.raw;
    } else if (coding == 3)
        read_side_by_side(&b, levels, n);
    if (b.at != b.end)
        fail("a stream is not used up");
    slope = field[0];
    w[0] = 65536 + (field[0] << 10) + (field[2] << 8);
    w[1] = (field[1] - field[0]) << 10;
    w[2] = 0 - (field[1] << 10);
    for (u64 i = 0, lane = 0; i < n; i++) {
        u64 r = how >> 6 ? unfold(levels[i]) : levels[i];
        while (prediction == 3 && (int)lane + 1 < lanes && i >= lane_begin(n, (int)lane + 1))
            lane++;
        u64 inside = i - lane_begin(n, (int)lane);
        if (prediction == 3 && inside < 3)
            levels[i] = starts[3 * lane + inside];
        else if (prediction == 3)
            levels[i] = r + down(w[0] * levels[i - 1] + w[1] * levels[i - 2] + w[2] * levels[i - 3]
                                     + (field[3] << 16) + 32768, 16);
        else
            levels[i] = undo(prediction, r, i, levels, 0, &slope, field, others, known);
    }
    for (u64 i = 0; integers && i < n; i++)
        integers[i] = base + divisor * levels[i];
}

/* Where the streams of a block come from: of coder 1 from its head, words and raw bits; of coder 2 each from bytes of its
 * own, which stand one after the other, the last one being what is left. */
typedef struct { int coder, left; Bytes head; Coder words; } Source;

static void next_stream(Source *s, u64 n, u64 **others, int known, u64 *levels, u64 *integers)
{
    if (s->coder == 1)
        read_stream_1(&s->head, &s->words, n, others, known, levels, integers);
    else
        read_stream_2(cut(&s->head, --s->left ? varint(&s->head) : (u64)(s->head.end - s->head.at)), n, others, known,
                      levels, integers);
}

/* Reads what follows the flags, but for the states of coder 1. */
static void read_mode(Source *s, int flags, u64 n, int are_values, u64 **others, int known, u64 *numbers, u64 *levels)
{
    static u64 distinct[BLOCK], own[BLOCK], m[BLOCK], e[BLOCK], gaps[BLOCK], distances[BLOCK];
    int kind = flags & 7, ranked = flags >> 3 & 1, distant = flags >> 4 & 1, early = s->coder == 2;
    u64 q[3] = {1, 1, 0}, count = ranked ? varint(&s->head) : n, amount = 0, i = ~(u64)0;
    u64 *found = ranked ? distinct : numbers;
    if (kind > 5 || (kind && !are_values) || !count || count > n)
        fail("a block is of no known kind");
    for (int j = 0; j < (kind == 0 ? 0 : kind <= 3 ? 1 : 3); j++)
        q[j] = varint(&s->head);
    if (!q[0] || !q[1] || q[2] > 60 || (kind == 3 && q[0] > 22))
        fail("a mode is out of range");
    if (distant && early)
        amount = varint(&s->head);
    s->left = 1 + (kind >= 4) + 2 * distant + ranked;
    next_stream(s, count, others, ranked ? 0 : known, ranked ? own : levels, m);
    if (kind >= 4)
        next_stream(s, count, NULL, 0, own, e);
    for (u64 j = 0; j < count; j++)
        found[j] = are_values ? number(kind, q, m[j], kind >= 4 ? e[j] : 0) : m[j];
    if (distant && !early)
        amount = varint(&s->head);
    if (distant && (!amount || amount > count))
        fail("a block has too many exceptions");
    if (distant) {
        next_stream(s, amount, NULL, 0, own, gaps);
        next_stream(s, amount, NULL, 0, own, distances);
    }
    for (u64 j = 0; j < amount; j++) {
        if (gaps[j] >= count - 1 - i)
            fail("an exception lies outside its block");
        i += gaps[j] + 1;
        found[i] = order(order(found[i]) + distances[j]);
    }
    if (ranked)
        next_stream(s, n, others, known, levels, m);
    for (u64 j = 0; ranked && j < n; j++) {
        if (m[j] >= count)
            fail("a rank lies outside its list");
        numbers[j] = distinct[m[j]];
    }
}

static void read_block_1(Bytes block, u64 n, int are_values, u64 **others, int known, u64 *numbers, u64 *levels)
{
    u64 head_size = varint(&block), words_size = varint(&block);
    Source s = {1, 0, cut(&block, head_size), {cut(&block, words_size), {NULL, NULL}, 0, {1 << 20, 1 << 20}}};
    Coder *c = &s.words;
    int flags = *take(&s.head, 1);
    c->raw = block;
    if ((flags & 7) == 7) {
        if (head_size != 1 || words_size)
            fail("a block has not the size it should");
        read_numbers(block, n, numbers, levels);
        return;
    }
    if (flags > 63)
        fail("a block is of no known kind");
    if (flags >> 5 & 1) {
        c->states[0] += varint(&s.head);
        c->states[1] += varint(&s.head);
    }
    read_mode(&s, flags, n, are_values, others, known, numbers, levels);
    if (c->states[0] != 1 << 20 || c->states[1] != 1 << 20 || s.head.at != s.head.end || c->words.at != c->words.end
        || c->raw.at != c->raw.end || c->filled)
        fail("a block is not used up");
}

/* Reads a block of either coder, n numbers, and the levels from which other columns may be predicted. */
static void read_block(int coder, Bytes block, u64 n, int are_values, u64 **others, int known, u64 *numbers,
                       u64 *levels)
{
    Source s = {2, 0, block, {{NULL, NULL}, {NULL, NULL}, 0, {0, 0}}};
    int flags = coder == 1 ? 6 : *take(&s.head, 1);
    if (flags == 6)
        read_block_1(coder == 1 ? block : s.head, n, are_values, others, known, numbers, levels);
    else if (flags == 7)
        read_numbers(s.head, n, numbers, levels);
    else if (flags > 31)
        fail("a block is of no known kind");
    else
        read_mode(&s, flags, n, are_values, others, known, numbers, levels);
}

static u64 blocks_of(u64 count) { return count / BLOCK + (count % BLOCK > 0); }
static u64 size_of(u64 count, u64 block)
{
    return count - block * BLOCK < BLOCK ? count - block * BLOCK : BLOCK;
}

/* What both versions' indexes tell. */
typedef struct { u64 count, first; int coder, kind; u64 *sizes; Bytes *blocks; u64 *times; } Column;

/* What the values of a series are: 1 and 2 doubles, 3 int64, 4 float32 by value, 5 float32 by their bits. */
static int are_doubles(int kind) { return kind != 3 && kind != 5; }

static void print_value(int kind, u64 number, int bits)
{
    float single = 0;
    uint32_t word = (uint32_t)number;
    if (kind == 4)
        single = (float)to_double(number);
    else
        memcpy(&single, &word, sizeof single);
    memcpy(&word, &single, sizeof word);
    if (kind == 5 && sign(number) != (int32_t)(number & 0xFFFFFFFF))
        fail("a series has bits beyond those of float32");
    if (bits)
        printf("%016" PRIx64 "\n", kind >= 4 ? word : number);
    else if (kind == 3)
        printf("%" PRId64 "\n", sign(number));
    else if (kind >= 4)
        printf("%.9g\n", single);
    else
        printf("%.17g\n", to_double(number));
}

typedef struct {
    u64 series, clocks, unit;
    char **names; /* of series: name{label="value"} */
    Column *clock, *value;
    u64 *clock_of, (*others)[3];
    int *known;
} Part;

static void print_part(const Part *p, int bits)
{
    static u64 numbers[BLOCK], levels[BLOCK], spare[3][BLOCK], unused[BLOCK];
    u64 *others[3] = {spare[0], spare[1], spare[2]};
    for (u64 i = 0; i < p->clocks; i++) {
        Column *clock = &p->clock[i];
        clock->times = room(clock->count, sizeof(u64));
        for (u64 b = 0; b < blocks_of(clock->count); b++)
            read_block(clock->coder, clock->blocks[b], size_of(clock->count, b), 0, NULL, 0, clock->times + b * BLOCK,
                       levels);
    }
    for (u64 i = 0; i < p->series; i++) {
        const Column *clock = &p->clock[p->clock_of[i]];
        for (u64 b = 0; b < blocks_of(clock->count); b++) {
            u64 n = size_of(clock->count, b);
            for (int j = 0; j < p->known[i]; j++) {
                const Column *other = &p->value[p->others[i][j]];
                read_block(other->coder, other->blocks[b], n, 1, NULL, 0, unused, spare[j]);
            }
            const Column *own = &p->value[i];
            read_block(own->coder, own->blocks[b], n, are_doubles(own->kind), others, p->known[i], numbers, levels);
            for (u64 k = 0; k < n; k++) {
                printf("%s %" PRId64 " ", p->names[i], sign(clock->times[b * BLOCK + k]));
                print_value(own->kind, numbers[k], bits);
            }
        }
    }
}

static void make_part(Part *p, u64 series, u64 clocks)
{
    p->series = series;
    p->clocks = clocks;
    p->names = room(series, sizeof *p->names);
    p->clock = room(clocks, sizeof *p->clock);
    p->value = room(series, sizeof *p->value);
    p->clock_of = room(series, sizeof *p->clock_of);
    p->others = room(series, sizeof *p->others);
    p->known = room(series, sizeof *p->known);
}

static void refer(Part *p, u64 i, int j, u64 distance)
{
    if (!distance || distance > i || p->known[i - distance] || p->value[i - distance].count != p->value[i].count ||
        p->value[i].kind > 2 || p->value[i - distance].kind > 2)
        fail("a series is predicted from what it cannot be");
    p->others[i][j] = i - distance;
}

static void cut_blocks(Column *c, Bytes *file)
{
    c->blocks = room(blocks_of(c->count), sizeof *c->blocks);
    for (u64 b = 0; b < blocks_of(c->count); b++) {
        c->blocks[b] = cut(file, c->sizes[b]);
        take(file, 4);
    }
}

/* Text that grows. */
typedef struct { char *text; size_t size, most; } Text;

static void add(Text *t, const char *text, size_t size, int quoted)
{
    if (t->size + 2 * size + 1 > t->most) {
        char *larger = room(t->most = 2 * (t->size + 2 * size + 1), 1);
        if (t->size)
            memcpy(larger, t->text, t->size);
        t->text = larger;
    }
    for (size_t i = 0; i < size; i++) {
        if (quoted && (text[i] == '"' || text[i] == '\\'))
            t->text[t->size++] = '\\';
        t->text[t->size++] = text[i];
    }
    t->text[t->size] = 0;
}

static void add_label(Text *t, Bytes name, Bytes value, int is_first)
{
    if (!is_first)
        t->size--; /* the brace that closed the labels so far */
    add(t, is_first ? "{" : ",", 1, 0);
    add(t, (const char *)name.at, (size_t)(name.end - name.at), 0);
    add(t, "=\"", 2, 0);
    add(t, (const char *)value.at, (size_t)(value.end - value.at), 1);
    add(t, "\"}", 2, 0);
}

/* Version 2 */

typedef struct { u64 count, *numbers; } Numbers;

static Numbers read_column(Bytes *index, int coder, u64 expected)
{
    static u64 levels[BLOCK];
    Numbers column = {varint(index), NULL};
    if (expected != ~(u64)0 && column.count != expected)
        fail("a column of the index has not the numbers it should");
    if (blocks_of(column.count) > (u64)(index->end - index->at))
        fail("a column of the index is cut short");
    column.numbers = room(column.count, sizeof(u64));
    for (u64 b = 0; b < blocks_of(column.count); b++) {
        Bytes block = cut(index, varint(index));
        read_block(coder, block, size_of(column.count, b), 0, NULL, 0, column.numbers + b * BLOCK, levels);
    }
    return column;
}

static u64 sum_of(Numbers column, u64 most)
{
    u64 sum = 0;
    for (u64 i = 0; i < column.count; i++) {
        if (column.numbers[i] > most || (sum += column.numbers[i]) > most)
            fail("numbers of the index are too large");
    }
    return sum;
}

static Bytes *read_strings(Bytes *index, int coder, u64 *count)
{
    Numbers prefixes = read_column(index, coder, ~(u64)0), rests = read_column(index, coder, prefixes.count);
    Numbers text = read_column(index, coder, ~(u64)0);
    Bytes *strings = room(prefixes.count, sizeof *strings);
    u8 *memory = room(sum_of(prefixes, MOST_NUMBERS / 2) + text.count, 1);
    u64 at = 0;
    *count = prefixes.count;
    if (sum_of(rests, MOST_NUMBERS / 2) != text.count)
        fail("strings have not the bytes they should");
    for (u64 i = 0; i < prefixes.count; i++) {
        u64 prefix = prefixes.numbers[i], before = i ? (u64)(strings[i - 1].end - strings[i - 1].at) : 0;
        if (prefix > before)
            fail("a string has more in common than there is");
        strings[i].at = memory;
        if (prefix)
            memcpy(memory, strings[i - 1].at, prefix);
        memory += prefix;
        for (u64 j = 0; j < rests.numbers[i]; j++)
            *memory++ = (u8)text.numbers[at++];
        strings[i].end = memory;
    }
    return strings;
}

static void read_part_2(Bytes index, Bytes file, int bits)
{
    static const char *const units[] = {"s", "ms", "us", "ns"};
    u64 strings_count, samples = 0, place = 0;
    int coder = *take(&index, 1);
    Part p = {0};
    p.unit = *take(&index, 1);
    take(&index, 1);
    if (coder < 1 || coder > 2 || p.unit > 3)
        fail("the index is of a later version, or");
    take(&file, varint(&index));
    Bytes *strings = read_strings(&index, coder, &strings_count);
    Numbers names = read_column(&index, coder, ~(u64)0), labels = read_column(&index, coder, names.count);
    Numbers label_names = read_column(&index, coder, sum_of(labels, MOST_NUMBERS));
    Numbers label_values = read_column(&index, coder, label_names.count);
    Numbers counts = read_column(&index, coder, ~(u64)0), clock_coders = read_column(&index, coder, counts.count);
    sum_of(counts, MOST_NUMBERS);
    make_part(&p, names.count, counts.count);
    for (u64 i = 0; i < p.clocks; i++) {
        p.clock[i].count = counts.numbers[i];
        p.clock[i].first = samples;
        samples += blocks_of(counts.numbers[i]);
        if (clock_coders.numbers[i] < 1 || clock_coders.numbers[i] > 2)
            fail("blocks are of a later version, or");
        p.clock[i].coder = (int)clock_coders.numbers[i];
    }
    Numbers clock_sizes = read_column(&index, coder, samples);
    read_column(&index, coder, samples);
    read_column(&index, coder, samples);
    Numbers clock_of = read_column(&index, coder, p.series), coders = read_column(&index, coder, p.series);
    Numbers known = read_column(&index, coder, p.series);
    Numbers distances = read_column(&index, coder, sum_of(known, 3 * p.series));
    samples = 0;
    for (u64 i = 0; i < p.series; i++) {
        if (clock_of.numbers[i] >= p.clocks || known.numbers[i] > 3 || names.numbers[i] >= strings_count)
            fail("a series refers to nothing");
        if (coders.numbers[i] < 1 || coders.numbers[i] > 5)
            fail("blocks are of a later version, or");
        p.value[i].kind = (int)coders.numbers[i];
        p.value[i].coder = p.value[i].kind == 1 ? 1 : 2;
        p.clock_of[i] = clock_of.numbers[i];
        p.value[i].count = counts.numbers[p.clock_of[i]];
        p.value[i].first = samples;
        samples += blocks_of(p.value[i].count);
        for (u64 j = 0; j < known.numbers[i]; j++)
            refer(&p, i, (int)j, distances.numbers[place++]);
        p.known[i] = (int)known.numbers[i];
    }
    Numbers sizes = read_column(&index, coder, samples);
    for (u64 i = 0, used = 0; i < p.series; i++) {
        Column *clock = &p.clock[p.clock_of[i]], *value = &p.value[i];
        if (p.clock_of[i] > used)
            fail("clocks are not numbered as they come");
        if (p.clock_of[i] == used) {
            clock->sizes = clock_sizes.numbers + clock->first;
            cut_blocks(clock, &file);
            used++;
        }
        value->sizes = sizes.numbers + value->first;
        cut_blocks(value, &file);
        if (i + 1 == p.series && used != p.clocks)
            fail("a clock belongs to no series");
    }
    Text *text = room(p.series, sizeof *text);
    for (u64 i = 0; i < p.series; i++) {
        Bytes name = strings[names.numbers[i]];
        add(&text[i], (const char *)name.at, (size_t)(name.end - name.at), 0);
    }
    place = 0;
    for (u64 level = 0; place < label_names.count; level++)
        for (u64 i = 0; i < p.series; i++)
            if (labels.numbers[i] > level) {
                if (label_names.numbers[place] >= strings_count || label_values.numbers[place] >= strings_count)
                    fail("a label refers to nothing");
                add_label(&text[i], strings[label_names.numbers[place]], strings[label_values.numbers[place]], !level);
                place++;
            }
    for (u64 i = 0; i < p.series; i++)
        p.names[i] = text[i].text;
    fprintf(stderr, "%" PRIu64 " series, timestamps in %s\n", p.series, units[p.unit]);
    print_part(&p, bits);
}

static void read_file_2(Bytes file, int bits)
{
    u64 size = (u64)(file.end - file.at), end = size, commit, n;
    if (size < 59)
        fail("its end is missing");
    commit = big_endian(file.at + 19);
    if (memcmp(file.end - 8, "tally 2\n", 8) && commit >= 59 && commit < size)
        end = commit; /* an append did not finish */
    file.end = file.at + end;
    if (memcmp(file.end - 8, "tally 2\n", 8))
        fail("its end is missing");
    n = big_endian(file.end - 24);
    if (n > end - 59)
        fail("the index is larger than the file");
    Bytes area = {file.end - 24 - n, file.end - 24};
    while (area.at < area.end) {
        Bytes index = cut(&area, big_endian(take(&area, 8)));
        take(&area, 8);
        read_part_2(index, file, bits);
    }
}

/* Version 1 */

#ifdef TALLY_ZSTD
size_t ZSTD_decompress(void *to, size_t room, const void *from, size_t size);
unsigned ZSTD_isError(size_t code);

static void read_file_1(Bytes file, int bits)
{
    u64 size = (u64)(file.end - file.at), n, strings_count, clocks;
    size_t most = (size_t)1 << 20, done;
    u8 *memory;
    Part p = {0};
    if (size < 35 || (n = big_endian(file.end - 16)) > size - 35)
        fail("the index is larger than the file");
    do { /* a frame does not always tell what it expands to */
        memory = room(most, 1);
        done = ZSTD_decompress(memory, most, file.end - 16 - n, n);
        most *= 4;
    } while (ZSTD_isError(done) && most <= (size_t)1 << 30);
    if (ZSTD_isError(done))
        fail("the index cannot be expanded");
    Bytes index = {memory, memory + done}, dictionary;
    file.end -= 16 + n;
    take(&file, 19);
    p.unit = *take(&index, 1);
    dictionary = cut(&index, varint(&index));
    strings_count = varint(&dictionary);
    if (strings_count > done)
        fail("the dictionary is cut short");
    Bytes *strings = room(strings_count, sizeof *strings);
    for (u64 i = 0; i < strings_count; i++)
        strings[i] = cut(&dictionary, varint(&dictionary));
    u64 series = varint(&dictionary);
    clocks = varint(&index);
    if (series > done || clocks > done)
        fail("the index is cut short");
    make_part(&p, series, clocks);
    for (u64 i = 0; i < series; i++) {
        Text text = {NULL, 0, 0};
        for (u64 j = 0, left = 1; j < left; j++) {
            u64 one = varint(&dictionary), two = j ? varint(&dictionary) : 0;
            if (one >= strings_count || two >= strings_count)
                fail("a series refers to nothing");
            if (j) {
                add_label(&text, strings[one], strings[two], j == 1);
                continue;
            }
            add(&text, (const char *)strings[one].at, (size_t)(strings[one].end - strings[one].at), 0);
            left += varint(&dictionary);
        }
        p.names[i] = text.text;
    }
    for (u64 i = 0; i < clocks; i++) {
        p.clock[i].coder = 1;
        p.clock[i].count = varint(&index);
        if (blocks_of(p.clock[i].count) > done)
            fail("the index is cut short");
        p.clock[i].sizes = room(blocks_of(p.clock[i].count), sizeof(u64));
        for (u64 b = 0; b < blocks_of(p.clock[i].count); b++) {
            p.clock[i].sizes[b] = varint(&index);
            varint(&index);
            varint(&index);
        }
        cut_blocks(&p.clock[i], &file);
    }
    for (u64 i = 0; i < series; i++) {
        p.clock_of[i] = varint(&index);
        u64 known = varint(&index);
        if (p.clock_of[i] >= clocks || known > 3)
            fail("a series refers to nothing");
        p.value[i].coder = p.value[i].kind = 1;
        p.value[i].count = p.clock[p.clock_of[i]].count;
        for (u64 j = 0; j < known; j++)
            refer(&p, i, (int)j, varint(&index));
        p.known[i] = (int)known;
        p.value[i].sizes = room(blocks_of(p.value[i].count), sizeof(u64));
        for (u64 b = 0; b < blocks_of(p.value[i].count); b++)
            p.value[i].sizes[b] = varint(&index);
        cut_blocks(&p.value[i], &file);
    }
    print_part(&p, bits);
}
#endif

int main(int argc, char **argv)
{
    int bits = argc == 3 && !strcmp(argv[1], "--bits");
    FILE *stream = argc == 2 + bits ? fopen(argv[argc - 1], "rb") : NULL;
    long size;
    if (!stream || fseek(stream, 0, SEEK_END) || (size = ftell(stream)) < 0 || fseek(stream, 0, SEEK_SET)) {
        fprintf(stderr, "usage: %s [--bits] FILE\n", argv[0]);
        return 2;
    }
    atexit(give_back);
    u8 *data = room((u64)size, 1);
    if (fread(data, 1, (size_t)size, stream) != (size_t)size)
        fail("it cannot be read");
    fclose(stream);
    Bytes file = {data, data + size};
    if (size >= 19 && !memcmp(data, "squeezelab tally 2\n", 19))
        read_file_2(file, bits);
#ifdef TALLY_ZSTD
    else if (size >= 19 && !memcmp(data, "squeezelab tally 1\n", 19))
        read_file_1(file, bits);
#endif
    else
        fail("its first line is none that this reader knows");
    return 0;
}
