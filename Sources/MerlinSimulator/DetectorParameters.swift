import MerlinProtocol

/// The detector's parameters with their types, ranges and present values.
struct DetectorParameters: Sendable {
    enum Rule: Sendable {
        case integer(ClosedRange<Int>)
        case choice([Int])
        case real(ClosedRange<Double>)
        case text
        /// May be read only; the value is the detector state's.
        case readOnly
    }

    struct Parameter: Sendable {
        var rule: Rule
        var value: String
    }

    private(set) var parameters: [String: Parameter] = [:]
    private var initial: [String: Parameter] = [:]

    /// Most frames that newer software takes.
    static let maximumFrames = 42_949_672_960

    init(_ setup: DetectorSetup) {
        func add(_ names: [String], _ rule: Rule, _ value: String) {
            for name in names { parameters[name] = Parameter(rule: rule, value: value) }
        }
        add(["DETECTORSTATUS", "IMAGEX", "IMAGEY"], .readOnly, "0")
        add(["SOFTWAREVERSION"], .readOnly, "Stemwire simulator")
        add(["TEMPERATURE"], .readOnly, "46.887352")
        add(["TRIGGERINTTL", "TRIGGERINLVDS", "SENSORSIZE"], .readOnly, "0")

        add(["COUNTERDEPTH"], .choice(setup.counterDepths.map(\.rawValue)), String(setup.counterDepth.rawValue))
        add(["FILEFORMAT"], .choice(setup.fileFormats), String(setup.isRaw ? 2 : 0))
        add(["ROIROWS"], .integer(setup.roiRows), String(setup.roiRows.upperBound))
        add(["NUMFRAMESTOACQUIRE"], .integer(0...Self.maximumFrames), String(setup.framesToAcquire))
        add(
            ["NUMFRAMESPERTRIGGER"], .integer(1...Self.maximumFrames),
            String(setup.framesToAcquire > 0 ? setup.framesToAcquire : setup.frameCount))
        add(["STEMSCANX"], .integer(1...65536), String(setup.scan.width))
        add(["STEMSCANY"], .integer(1...65536), String(setup.scan.height))
        add(["TRIGGERSTART"], .integer(0...5), setup.waitsForTrigger ? "5" : "0")
        add(["TRIGGERSTOP"], .integer(0...4), "0")
        add(["ACQUISITIONTIME"], .real(0.0001...1e9), sixDecimals(setup.frameMilliseconds))
        add(["ACQUISITIONPERIOD"], .real(0.0001...1e9), sixDecimals(setup.frameMilliseconds))

        // Modes that change the number or the shape of the messages of a shot are not simulated.
        add(["COLOURMODE"], .choice([0]), "0")
        add(["ENABLECOUNTER1"], .choice([0, 1]), "0")
        add(["CHARGESUMMING", "CONTINUOUSRW", "FLATFIELDCORRECTION", "MASKINDATA"], .choice([0, 1]), "0")
        add(["DEADTIMECORRECTION", "POLARITY", "RUNHEADLESS", "FILEENABLE"], .choice([0, 1]), "0")
        add(["SAVEALLTOFILE", "USETIMESTAMPING", "TRIGGERUSEDELAY"], .choice([0, 1]), "0")
        add(["GAIN", "FILLMODE"], .integer(0...3), "0")
        add((0...7).map { "THRESHOLD\($0)" }, .real(0...999.99), "0.000000")
        parameters["THRESHOLD0"]?.value = "2.000000"
        parameters["THRESHOLD1"]?.value = "511.000000"
        add(["OPERATINGENERGY"], .real(0...1000), "300.000000")
        add(["HVBIAS"], .integer(0...200), "120")

        let outputs = ["TRIGGEROUTTTL", "TRIGGEROUTLVDS"]
        add(outputs, .integer(0...7), "0")
        add(outputs.map { "\($0)INVERT" }, .choice([0, 1]), "0")
        add(outputs.map { "SOFT\($0)" }, .choice([0, 1]), "0")
        add(["TRIGGERINTTLDELAY", "TRIGGERINLVDSDELAY"], .integer(0...68_719_476_720), "0")

        add(["THSCAN"], .integer(0...7), "0")
        add(["THSTART", "THSTOP", "THSTEP", "THWINDOWSIZE"], .real(0...999.99), "0.000000")
        add(["THNUMSTEPS"], .integer(0...100_000), "0")
        add(["THWINDOWMODE"], .choice([0, 1]), "0")
        add(["IMAGESPERFILE", "FILECOUNTER"], .integer(0...Self.maximumFrames), "1")
        add(["FILEDIRECTORY", "FILENAME", "FLATFIELDFILE", "DACFILE"], .text, "")
        add(["PIXELMATRIXLOADFILE", "PIXELMATRIXSAVEFILE"], .text, "")
        initial = parameters
    }

    mutating func reset() { parameters = initial }

    /// The value of a known integer parameter.
    func integer(_ name: String) -> Int { parameters[name].flatMap { Int($0.value) } ?? 0 }

    /// The value of a known real parameter.
    func real(_ name: String) -> Double { parameters[name].flatMap { Double($0.value) } ?? 0 }

    /// Whether a parameter has another value than at the start.
    func isChanged(_ name: String) -> Bool { parameters[name]?.value != initial[name]?.value }

    /// Changes a value.
    ///
    /// - Returns: 0, 2 for an unknown or read-only parameter, 3 for a value out of range.
    mutating func set(_ name: String, _ text: String) -> ControlCode {
        guard let parameter = parameters[name] else { return .unrecognisedCommand }
        let value: String
        switch parameter.rule {
        case .readOnly: return .unrecognisedCommand
        case .text: value = String(text.prefix(1024))
        case .integer(let range):
            guard let number = Self.whole(text), range.contains(number) else { return .outOfRange }
            value = String(number)
        case .choice(let choices):
            guard let number = Self.whole(text), choices.contains(number) else { return .outOfRange }
            value = String(number)
        case .real(let range):
            guard let number = Double(text), range.contains(number) else { return .outOfRange }
            value = sixDecimals(number)
        }
        // Continuous read/write uses half of each 24-bit counter for the next frame.
        let isDeep = name == "COUNTERDEPTH" ? value == "24" : parameters["COUNTERDEPTH"]?.value == "24"
        let isContinuous = name == "CONTINUOUSRW" ? value == "1" : parameters["CONTINUOUSRW"]?.value == "1"
        if isDeep, isContinuous { return .outOfRange }
        parameters[name]?.value = value
        return .ok
    }

    private static func whole(_ text: String) -> Int? {
        Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
    }
}
