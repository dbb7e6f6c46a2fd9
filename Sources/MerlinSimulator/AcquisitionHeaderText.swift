import MerlinProtocol

/// Writes acquisition headers as the detector does, and changes single values of recorded ones.
public struct AcquisitionHeaderText: Sendable {
    /// Size of a real detector's header, `HDR,` included.
    public static let standardBytes = 2048

    public var format: DetectorFormat
    /// Frames in the acquisition; 0 until stopped.
    public var frames: UInt64
    public var framesPerTrigger: UInt64
    /// The value of TRIGGERSTART.
    public var triggerStart = 0
    /// The value of TRIGGERSTOP.
    public var triggerStop = 0
    /// Scan size (y, x), for the keys ScanY and ScanX of newer software; nil leaves them out.
    public var scan: (height: Int, width: Int)?
    public var gain = GainMode.superLow
    public var counter = 0
    /// In keV.
    public var thresholds = [2.0, 511, 0, 0, 0, 0, 0, 0]
    /// In volts.
    public var bias = 120
    public var continuousReadWrite = false
    public var time: CivilTime

    public init(format: DetectorFormat, frames: UInt64, framesPerTrigger: UInt64, time: CivilTime) {
        self.format = format
        self.frames = frames
        self.framesPerTrigger = framesPerTrigger
        self.time = time
    }

    /// The message's body, `HDR,` to the padding behind `End`: 2048 bytes, more if the text is longer.
    public func encoded() -> [UInt8] {
        let chips = 0..<max(4, format.chipCount)
        func perChip(_ separator: String, _ present: String, _ absent: String) -> String {
            chips.map { $0 < format.chipCount ? present : absent }.joined(separator: separator)
        }
        let layout = format.layout.description
        let identifiers = chips.map { $0 < format.chipCount ? "SIM_\(padded($0 + 1, 2))" : " - " }
        var lines = [
            ("Time and Date Stamp (day, mnth, yr, hr, min, s)", time.dayFirst),
            ("Chip ID", identifiers.joined(separator: ",")),
            ("Chip Type (Medipix 3.0, Medipix 3.1, Medipix 3RX)", "Medipix 3RX"),
            ("Assembly Size (NX1, 2X2)", String(repeating: " ", count: max(0, 6 - layout.count)) + layout),
            ("Chip Mode  (SPM, CSM, CM, CSCM)", "SPM"),
            ("Counter Depth (number)", String(format.counterDepth.rawValue)),
            ("Gain", Self.name(gain)),
            ("Active Counters", continuousReadWrite ? "Alternating" : "Counter \(counter)"),
            ("Thresholds (keV)", thresholds.map(scientific).joined(separator: ",")),
            ("DACs", perChip("; ", FrameHeaderText.chipSettings, "")),
            ("bpc File", perChip(",", "c:\\simulated\\SPM.bpc", "")),
            ("DAC File", perChip(",", "c:\\simulated\\SPM.dacs", "")),
            ("Gap Fill Mode", "None"),
            ("Flat Field File", "None"),
            ("Dead Time File", "Dummy (C:\\<NUL>\\)"),
            ("Acquisition Type (Normal, Th_scan, Config)", "Normal"),
            ("Frames in Acquisition (Number)", String(frames)),
            ("Frames per Trigger (Number)", String(framesPerTrigger)),
            ("Trigger Start (Positive, Negative, Internal)", Self.triggerName(triggerStart)),
            ("Trigger Stop (Positive, Negative, Internal)", Self.triggerName(triggerStop)),
            ("Sensor Bias (V)", "\(bias) V"),
            ("Sensor Polarity (Positive, Negative)", "Positive"),
            ("Temperature (C)", "Board Temp 46.887352 Deg C"),
            ("Humidity (%)", "Board Humidity 12.394470 "),
            ("Medipix Clock (MHz)", "120MHz"),
            ("Readout System", format.chipCount > 1 ? "Merlin Quad" : "Merlin Single"),
            ("Software Version", "Stemwire simulator"),
        ]
        if let scan {
            lines += [("ScanX", String(scan.width)), ("ScanY", String(scan.height))]
        }
        var text = "HDR,\t\r\n"
        for (key, value) in lines { text += "\(key):\t\(value)\r\n" }
        text += "End\t"
        var bytes = Array(text.utf8)
        bytes += Array(repeating: UInt8(ascii: " "), count: max(0, Self.standardBytes - bytes.count))
        return bytes
    }

    /// A recorded header with the value of one key replaced; the size is kept by the blanks behind `End` where these
    /// have room. A header without the key is given back as it is.
    ///
    /// - Parameter key: the key up to a bracket, such as `Frames in Acquisition`.
    public static func replacing(_ key: String, with value: String, in header: [UInt8]) -> [UInt8] {
        let key = Array(key.utf8)
        var lineStart = 0
        while lineStart < header.count {
            let lineEnd = header[lineStart...].firstIndex(of: UInt8(ascii: "\n")) ?? header.count
            let line = header[lineStart..<lineEnd]
            if line.starts(with: key), let separator = line.firstIndex(of: UInt8(ascii: ":")) {
                var valueStart = separator + 1
                while valueStart < lineEnd, header[valueStart] == 0x09 || header[valueStart] == 0x20 { valueStart += 1 }
                var valueEnd = lineEnd
                while valueEnd > valueStart, header[valueEnd - 1] == 0x0D || header[valueEnd - 1] == 0x20 {
                    valueEnd -= 1
                }
                return resized(header[..<valueStart] + Array(value.utf8) + header[valueEnd...], to: header.count)
            }
            lineStart = lineEnd + 1
        }
        return header
    }

    private static func resized(_ header: ArraySlice<UInt8>, to size: Int) -> [UInt8] {
        var header = Array(header)
        while header.count > size, header.last == 0x20, header[header.count - 2] == 0x20 { header.removeLast() }
        if header.count < size, header.last == 0x20 {
            header += Array(repeating: 0x20, count: size - header.count)
        }
        return header
    }

    private static func name(_ gain: GainMode) -> String {
        switch gain {
        case .superLow: "SLGM"
        case .low: "LGM"
        case .high: "HGM"
        case .superHigh: "SHGM"
        }
    }

    private static func triggerName(_ value: Int) -> String {
        switch value {
        case 1: "Rising Edge"
        case 2: "Falling Edge"
        case 3: "Rising Edge LVDS"
        case 4: "Falling Edge LVDS"
        case 5: "Soft Trigger"
        default: "Internal"
        }
    }
}
