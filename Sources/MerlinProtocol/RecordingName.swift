import Glibc

/// A recording's path in its parts, and the files beside it.
struct RecordingName {
    /// With a trailing slash; empty for the working directory.
    let directory: String
    /// Without directory and extension.
    let stem: String
    let fileExtension: String

    var isHeader: Bool { fileExtension.lowercased() == "hdr" }
    var isFrames: Bool { fileExtension.lowercased() == "mib" }

    init(path: String) {
        let nameStart = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        directory = String(path[..<nameStart])
        let name = path[nameStart...]
        let dot = name.lastIndex(of: ".") ?? name.endIndex
        stem = String(name[..<dot])
        fileExtension = dot < name.endIndex ? String(name[name.index(after: dot)...]) : ""
    }

    /// The stem without the number at its end.
    private var base: String { Self.withoutNumber(stem) }

    /// A name without the digits at its end.
    private static func withoutNumber(_ stem: String) -> String {
        let end = stem.utf8.lastIndex { !isDigit($0) }
        return end.map { String(stem[...$0]) } ?? ""
    }

    /// The `.hdr` file of the recording: the one named, or the one that fits a `.mib` file.
    func headerPath() -> String? {
        if isHeader { return directory + stem + "." + fileExtension }
        var bases = [stem, base]
        if let separator = base.last, separator == "_" || separator == "-" { bases.append(String(base.dropLast())) }
        return bases.filter { !$0.isEmpty }.map { directory + $0 + ".hdr" }.first { access($0, R_OK) == 0 }
    }

    /// The `.mib` files that belong to this name, best first: the same name, then numbered ones in order of number.
    func siblings() throws(MIBError) -> [String] {
        let names = try Self.names(in: directory).filter { RecordingName(path: $0).isFrames }
        let stems = names.map { (name: $0, stem: RecordingName(path: $0).stem) }
        let root = isHeader ? stem : base
        var found = stems.filter { $0.stem == root || Self.isNumbered($0.stem, root: root) }
        if found.isEmpty, isHeader { found = stems.filter { $0.stem.hasPrefix(stem) } }
        found.sort { left, right in
            if (left.stem == stem) != (right.stem == stem) { return left.stem == stem }
            let (leftSize, rightSize) = (left.stem.utf8.count, right.stem.utf8.count)
            return leftSize != rightSize ? leftSize < rightSize : left.stem < right.stem
        }
        return found.map { directory + $0.name }
    }

    /// Whether `stem` is `root` and a number, with or without `_` or `-` between.
    private static func isNumbered(_ stem: String, root: String) -> Bool {
        guard stem.hasPrefix(root), stem.utf8.count > root.utf8.count else { return false }
        var rest = stem.utf8.dropFirst(root.utf8.count)
        if rest.first == UInt8(ascii: "_") || rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        return !rest.isEmpty && rest.allSatisfy(isDigit)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") <= 9 }

    private static func names(in directory: String) throws(MIBError) -> [String] {
        let path = directory.isEmpty ? "." : directory
        guard let stream = opendir(path) else { throw .system(path: path, operation: "list", code: errno) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }

    /// A small file's bytes; at most `limit`, which a longer file is cut to.
    static func contents(_ path: String, limit: Int) throws(MIBError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", code: errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: 16)
        defer { chunk.deallocate() }
        while bytes.count < limit {
            let count = Glibc.read(descriptor, chunk.baseAddress, min(chunk.count, limit - bytes.count))
            if count == 0 { break }
            if count > 0 {
                bytes.append(contentsOf: chunk[..<count])
            } else if errno != EINTR {
                throw .system(path: path, operation: "read", code: errno)
            }
        }
        return bytes
    }
}
