import Foundation
import StemwireKernels
import StemwireTestSupport
import StemwireUDF
import Testing

@Suite("NumPy files")
struct NumpyFileTests {
    private static let shapes: [[Int]] = [[], [0], [5], [2, 3], [4, 1, 3], [3, 0, 2]]

    private func random(_ dtype: DType, _ shape: [Int], _ generator: inout SeededGenerator) throws -> ResultArray {
        let count = shape.reduce(dtype.byteCount, *)
        let bytes = (0..<count).map { _ in UInt8.random(in: 0...(dtype == .bool ? 1 : 255), using: &generator) }
        return try bytes.withUnsafeBytes { try ResultArray(dtype: dtype, shape: shape, bytes: $0) }
    }

    @Test(arguments: DType.allCases)
    func roundTrip(dtype: DType) throws {
        var generator = SeededGenerator(seed: 1)
        for shape in Self.shapes {
            let array = try random(dtype, shape, &generator)
            let bytes = NumpyFile.encode(array)
            #expect(try bytes.withUnsafeBytes { try NumpyFile.decode($0) } == array)
            #expect((bytes.count - array.byteCount) % 64 == 0)
        }
    }

    @Test func bytesAreThoseOfTheSpecification() {
        let bytes = NumpyFile.encode(ResultArray([1, 256] as [UInt16], shape: [2]))
        let header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }"
        #expect(bytes.prefix(10) == [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0])
        #expect(String(decoding: bytes[10..<128], as: UTF8.self) == header.padding(117) + "\n")
        #expect(bytes.suffix(4) == [1, 0, 0, 1])
    }

    @Test func longHeadersAreOfVersion2() throws {
        let shape = Array(repeating: 1, count: 25_000)
        let array = ResultArray([7] as [UInt8], shape: shape)
        let bytes = NumpyFile.encode(array)
        #expect(bytes[6] == 2)
        #expect(try bytes.withUnsafeBytes { try NumpyFile.decode($0) } == array)
    }

    @Test func readsWhatOthersWrite() throws {
        func file(_ header: String, version: UInt8 = 1, _ data: [UInt8]) -> [UInt8] {
            let length = header.utf8.count
            let size = (0..<(version == 1 ? 2 : 4)).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
            return [0x93] + Array("NUMPY".utf8) + [version, 0] + size + Array(header.utf8) + data
        }
        func read(_ bytes: [UInt8]) throws -> ResultArray {
            try bytes.withUnsafeBytes { try NumpyFile.decode($0) }
        }
        let data = Array(0..<6) as [UInt8]
        let plain = try read(file("{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"|u1\"}\n", version: 3, data))
        #expect(plain == ResultArray(data, shape: [2, 3]))
        // Fortran order: the first axis is the fastest.
        let turned = try read(file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", data))
        #expect(turned == ResultArray([0, 2, 4, 1, 3, 5] as [UInt8], shape: [2, 3]))
        let deep = try read(file("{'descr': '<u2', 'fortran_order': True, 'shape': (2, 1, 3), }", data + data))
        #expect(deep.elements(as: UInt16.self) == [0x0100, 0x0504, 0x0302, 0x0302, 0x0100, 0x0504])
        #expect(
            message { _ = try read(file("{'descr': '>u2', 'fortran_order': False, 'shape': (3,), }", data)) }
                .contains("little-endian"))
        #expect(
            message { _ = try read(file("{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }", data)) }
                .contains("6 bytes behind the header"))
        #expect(
            message { _ = try read(file("{'descr': '|b1', 'fortran_order': False, 'shape': (6,), }", data)) }
                .contains("no value of this type"))
        #expect(message { _ = try read(Array("hello, world".utf8)) }.contains("not a .npy file"))
        let huge = "{'descr': '|u1', 'fortran_order': False, 'shape': (\(Int.max), \(Int.max)), }"
        #expect(message { _ = try read(file(huge, data)) }.contains("cannot consist"))
    }

    @Test func hostileBytes() throws {
        var generator = SeededGenerator(seed: 8)
        let good = NumpyFile.encode(ResultArray((0..<24).map { Float($0) }, shape: [2, 3, 4]))
        for _ in 0..<500 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<good.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            bytes.removeLast(Int.random(in: 0..<good.count, using: &generator) / 2)
            // Any error is right; a crash is not.
            _ = try? bytes.withUnsafeBytes { try NumpyFile.decode($0) }
        }
    }

    @Test func filesOnDisk() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("a.npy").path
        let array = ResultArray((0..<6).map { Double($0) }, shape: [3, 2])
        try NumpyFile.write(ResultArray([1] as [UInt8], shape: [1]), to: path)
        try NumpyFile.write(array, to: path)
        #expect(try NumpyFile.read(path) == array)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.npy"])
        let nowhere = folder.appendingPathComponent("no/b.npy").path
        #expect(message { _ = try NumpyFile.read(nowhere) } == "cannot read \(nowhere): No such file or directory")
        #expect(message { try NumpyFile.write(array, to: nowhere) }.hasPrefix("cannot write \(nowhere)"))
    }
}

@Suite("Result arrays")
struct ResultArrayTests {
    @Test func copiesAreValues() {
        var one = ResultArray([1, 2, 3] as [Int32], shape: [3])
        let other = one
        let isShared = one.storageOwner === other.storageOwner
        #expect(isShared)
        one.withMutableElements(as: Int32.self) { $0[0] = 9 }
        #expect(other.elements(as: Int32.self) == [1, 2, 3])
        #expect(one.elements(as: Int32.self) == [9, 2, 3])
        #expect(one != other && one.reshaped([1, 3]) != one)
        #expect(one.doubles() == [9, 2, 3])
    }

    @Test func bytesFromOutsideAreChecked() {
        let bytes = [UInt8](repeating: 2, count: 8)
        func fault(_ dtype: DType, _ shape: [Int]) -> String {
            message { _ = try bytes.withUnsafeBytes { try ResultArray(dtype: dtype, shape: shape, bytes: $0) } }
        }
        #expect(fault(.float32, [2]) == "no error")
        #expect(fault(.float32, [3]).contains("cannot consist of 8 bytes"))
        #expect(fault(.float32, [-1, -2]).contains("cannot consist of 8 bytes"))
        #expect(fault(.uint8, [1 << 33, 1 << 33, 8]).contains("cannot consist of 8 bytes"))
        #expect(fault(.uint64, [Int.max / 4]).contains("cannot consist of 8 bytes"))
        #expect(fault(.bool, [8]).contains("byte 0"))
    }
}

extension String {
    fileprivate func padding(_ count: Int) -> String { self + String(repeating: " ", count: count - utf8.count) }
}
