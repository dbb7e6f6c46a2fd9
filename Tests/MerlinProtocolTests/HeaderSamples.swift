/// Frame headers as printed in public sources, of kinds that differ.
enum HeaderSamples {
    /// DAC settings of one chip: the chip's type and 27 numbers.
    static let dacs =
        ",3RX,011,511,000,000,000,000,000,000,175,010,200,125,100,100,093,100,099,030,128,004,255,140,128,191,179,"
        + "511,511"
    private static let noThresholds = ",0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0,0.000000E+0"

    private static func dacs(chips: Int) -> String { String(repeating: dacs, count: chips) }

    /// 2x2 with gap, processed, 12 bit.
    static let gapProcessed =
        "MQ1,000001,00768,04,0514,0514,U16,  2x2G,0F,2024-06-14 11:31:30.060732,0.001000,0,0,0,3.500000E+1,5.110000E+2"
        + noThresholds + dacs(chips: 4) + ",MQ1A,2024-06-14T09:31:30.060732344Z,1000000ns,12,"

    /// 2x2 with gap, raw, 6 bit: no gap in the data.
    static let gapRaw =
        "MQ1,000001,00768,04,1024,0256,R64,  2x2G,0F,2024-04-25 15:50:41.049778,0.000309,0,0,0,3.400000E+1,5.110000E+2"
        + noThresholds + dacs(chips: 4) + ",MQ1A,2024-04-25T13:50:41.049778723Z,309200ns,6,"

    /// Nx1, processed, 6 bit.
    static let rowProcessed =
        "MQ1,000001,00768,04,1024,0256,U08,   Nx1,0F,2018-01-11 08:29:52.037681,0.100000,0,0,0,2.000000E+1,5.000000E+2"
        + noThresholds + dacs(chips: 4) + ",MQ1A,2018-01-11T08:29:52.037681781Z,100000000ns,6,"

    /// Single, raw, software 0.67: neither thresholds nor DACs, but an empty field.
    static let bareRaw: [Int: String] = [
        1: "MQ1,000001,00384,01,0256,0256,R64,   1x1,01,2017-11-10 15:38:15.030531,0.005000,0,0,0,,MQ1A,"
            + "2017-11-10T15:38:15.030531785Z,5000000ns,1,",
        6: "MQ1,000001,00384,01,0256,0256,R64,   1x1,01,2017-11-10 15:39:58.616402,0.005000,0,0,0,,MQ1A,"
            + "2017-11-10T15:39:58.616402345Z,5000000ns,6,",
        12: "MQ1,000001,00384,01,0256,0256,R64,   1x1,01,2017-11-10 15:40:37.414250,0.005000,0,0,0,,MQ1A,"
            + "2017-11-10T15:40:37.414250055Z,5000000ns,12,",
        24: "MQ1,000001,00384,01,0512,0256,R64,   1x1,01,2017-11-10 15:41:20.880248,0.005000,0,0,0,,MQ1A,"
            + "2017-11-10T15:41:20.880248165Z,5000000ns,24,",
    ]

    /// Colour mode, software 0.65: one layer of 128 × 128, unit `nS`.
    static let colour =
        "MQ1,000001,00384,01,0128,0128,U16,   2x2,01,2015-08-27 18:10:36.025832,0.010000,0,1,0,0.000000E+0,0.000000E+0"
        + noThresholds + dacs + ",MQ1A,2015-08-27T17:10:36.025832396Z,10000000nS,12,"

    /// Before MQ1: a 256-byte header that begins with the depth.
    static let olderThanMQ1 =
        "12B,000001,0,2015-08-11 17:55:11.682,1.000000E+0,2.700000E+1,3.600000E+0,150,020,000,401,401"

    /// 2x2, raw, 6 bit, software 0.75, from the wire.
    static let quadRaw =
        "MQ1,000001,00768,04,1024,0256,R64,   2x2,0F,2021-02-26 09:54:33.292651,0.000416,0,0,0,2.000000E+1,5.110000E+2"
        + noThresholds + dacs(chips: 4) + ",MQ1A,2021-02-26T09:54:33.292651358Z,416010ns,6,"

    /// A sample with its sequence number and other leading fields replaced, as a body padded to `dataOffset`.
    static func body(_ header: String, dataOffset: Int, payloadBytes: Int = 0) -> [UInt8] {
        Wire.frameBody(header, dataOffset: dataOffset, payload: Array(repeating: 0, count: payloadBytes))
    }
}
