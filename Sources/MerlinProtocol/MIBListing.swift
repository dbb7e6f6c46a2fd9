/// Collects the files of a set: which of them belong together, and in what order.
struct MIBListing {
    let depth: CounterDepth?
    private(set) var format: FrameFormat?
    private(set) var ignored: [MIBFileSet.Ignored] = []
    /// Why the first unreadable file was left out.
    private(set) var firstError: MIBError?
    private var named: MIBFileSet.Member?
    private var others: [MIBFileSet.Member] = []

    init(depth: CounterDepth?) {
        self.depth = depth
    }

    /// The kept files in their order.
    var files: [MIBFileSet.Member] {
        ((named.map { [$0] } ?? []) + others).sorted { $0.firstSequenceNumber < $1.firstSequenceNumber }
    }

    mutating func addNamed(_ path: String) throws(MIBError) {
        let file = try MIBFile(path: path, acquisitionDepth: depth)
        format = file.format
        named = Self.member(file)
    }

    /// Adds files in their order of preference.
    mutating func add(_ paths: [String]) {
        for path in paths {
            do throws(MIBError) {
                add(try MIBFile(path: path, acquisitionDepth: depth))
            } catch {
                if firstError == nil { firstError = error }
                ignored.append(MIBFileSet.Ignored(path: path, reason: "\(error)"))
            }
        }
        dropOverlapping()
    }

    private mutating func add(_ file: MIBFile) {
        if format == nil { format = file.format }
        if file.format == format {
            others.append(Self.member(file))
        } else {
            ignored.append(MIBFileSet.Ignored(path: file.path, reason: "its frames have another format"))
        }
    }

    /// Of files that hold the same sequence numbers, keeps the named one, else the first.
    private mutating func dropOverlapping() {
        let ordered = others.enumerated().sorted {
            ($0.element.firstSequenceNumber, $0.offset) < ($1.element.firstSequenceNumber, $1.offset)
        }
        var kept: [MIBFileSet.Member] = named.map { [$0] } ?? []
        var remaining: [MIBFileSet.Member] = []
        for (_, file) in ordered {
            if kept.contains(where: { Self.overlap($0, file) }) {
                ignored.append(
                    MIBFileSet.Ignored(
                        path: file.path, reason: "its sequence numbers are in another file of the recording"))
            } else {
                // Only the latest kept file and the named one can overlap with what follows.
                kept = (named.map { [$0] } ?? []) + [file]
                remaining.append(file)
            }
        }
        others = remaining
    }

    private static func overlap(_ left: MIBFileSet.Member, _ right: MIBFileSet.Member) -> Bool {
        func end(_ file: MIBFileSet.Member) -> UInt64 {
            let (sum, overflow) = file.firstSequenceNumber.addingReportingOverflow(UInt64(file.frameCount))
            return overflow ? .max : sum
        }
        return left.firstSequenceNumber < end(right) && right.firstSequenceNumber < end(left)
    }

    private static func member(_ file: MIBFile) -> MIBFileSet.Member {
        MIBFileSet.Member(
            path: file.path, frameCount: file.frameCount, firstSequenceNumber: file.firstFrame.sequenceNumber,
            trailingBytes: file.trailingBytes)
    }
}
