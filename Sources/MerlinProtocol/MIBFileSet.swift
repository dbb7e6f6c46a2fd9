/// The files of one recording, as one row of frames.
///
/// Which files belong together is told by their names and checked by their contents:
///
/// - `scan.hdr` takes `scan.mib`, `scan1.mib`, `scan_002.mib` …: the same name and a number. If there are none, it takes
///   every `.mib` file that begins with `scan`. (Other programs do so always, and mix up recordings whose names begin
///   alike.)
/// - `scan12.mib` takes the files of the same name without digits at its end, or with others.
/// - They are ordered by the sequence number of their first frames, which runs on over the files of an acquisition.
/// - A file of another format, or whose sequence numbers are in another file already, belongs to another acquisition;
///   it is left out and listed in ``ignored``. The named file itself is always kept.
///
/// A `.mib` file without whole frame cannot be placed and is left out as well.
///
/// Holds no open file: files are opened by ``MIBReader``.
public struct MIBFileSet: Sendable {
    public struct Member: Sendable, Hashable {
        public var path: String
        public var frameCount: Int
        public var firstSequenceNumber: UInt64
        /// Bytes behind the last whole frame of the file.
        public var trailingBytes: Int
    }

    /// A file that is named like one of the set but was left out.
    public struct Ignored: Sendable, Hashable {
        public var path: String
        public var reason: String
    }

    /// Many more files than that slow down every start.
    public static let manyFiles = 16384
    private static let maximumHeaderFileBytes = AcquisitionHeader.maximumBytes

    /// The `.hdr` file's text; nil where there is none beside the frames.
    public let acquisitionHeader: AcquisitionHeader?
    public let format: FrameFormat
    public let members: [Member]
    public let ignored: [Ignored]
    /// Frames skipped at the beginning, or blank frames put there if negative.
    public let synchronisationOffset: Int
    /// Frames in the files.
    public let storedFrameCount: Int
    /// What a user should know: files left out, bytes left over, very many files.
    public let warnings: [String]

    /// Frames of the recording, the synchronisation offset taken into account.
    public var frameCount: Int { storedFrameCount - synchronisationOffset }

    /// First stored frame of each member, for the search.
    private let starts: [Int]

    /// Finds the files of a recording.
    ///
    /// - Parameters:
    ///   - path: a `.hdr` or `.mib` file.
    ///   - onlyNamedFile: read just this `.mib` file, even if others belong to it. No effect on a `.hdr` path.
    ///   - synchronisationOffset: so many leading frames are skipped; if negative, so many blank frames are put first.
    public init(
        path: String, onlyNamedFile: Bool = false, synchronisationOffset: Int = 0
    ) throws(MIBError) {
        let name = RecordingName(path: path)
        guard name.isHeader || name.isFrames else { throw .fileExtension(path: path) }
        let header = try Self.header(name)
        var listing = MIBListing(depth: header?.counterDepth)
        if name.isFrames {
            try listing.addNamed(path)
            if !onlyNamedFile { listing.add(try name.siblings().filter { $0 != path }) }
        } else {
            listing.add(try name.siblings())
        }
        let files = listing.files
        guard let format = listing.format else { throw listing.firstError ?? .noFrames(path: path) }
        var starts: [Int] = []
        var stored = 0
        for file in files {
            starts.append(stored)
            stored += file.frameCount
        }
        guard synchronisationOffset < stored, synchronisationOffset > -(1 << 40) else {
            throw .synchronisationOffset(synchronisationOffset, frames: stored)
        }
        acquisitionHeader = header
        self.format = format
        members = files
        ignored = listing.ignored
        self.synchronisationOffset = synchronisationOffset
        storedFrameCount = stored
        self.starts = starts
        warnings = Self.warnings(files, listing.ignored)
    }

    /// The member and the frame in it that hold frame `index` of the recording; nil for a blank frame.
    ///
    /// - Parameter index: 0..<``frameCount``.
    public func location(ofFrame index: Int) -> (member: Int, frame: Int)? {
        precondition((0..<frameCount).contains(index), "frame \(index) of \(frameCount)")
        let stored = index + synchronisationOffset
        guard stored >= 0 else { return nil }
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= stored { low = middle } else { high = middle }
        }
        return (low, stored - starts[low])
    }

    private static func header(_ name: RecordingName) throws(MIBError) -> AcquisitionHeader? {
        guard let path = name.headerPath() else { return nil }
        let bytes: [UInt8]
        do throws(MIBError) {
            bytes = try RecordingName.contents(path, limit: maximumHeaderFileBytes)
        } catch {
            guard name.isHeader else { return nil }
            throw error
        }
        let parsed = bytes.withUnsafeBytes { body in
            Result { () throws(AcquisitionHeaderError) in try AcquisitionHeader.parse(body) }
        }
        switch parsed {
        case .success(let header): return header
        case .failure(let error):
            guard name.isHeader else { return nil }
            throw .acquisitionHeader(path: path, error)
        }
    }

    private static func warnings(_ files: [Member], _ ignored: [Ignored]) -> [String] {
        var warnings = ignored.map { "\($0.path) left out: \($0.reason)" }
        for file in files where file.trailingBytes > 0 {
            warnings.append("\(file.path) has \(file.trailingBytes) bytes behind its last whole frame")
        }
        if files.count > manyFiles {
            warnings.append(
                "\(files.count) files: opening them takes long; a larger IMAGESPERFILE makes fewer")
        }
        return warnings
    }
}
